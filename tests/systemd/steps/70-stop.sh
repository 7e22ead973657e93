# Stopping and restarting with people on the line.
# A request of which half was sent.
half() {
    exec 3<>/dev/tcp/127.0.0.1/6767
    local body="{\"username\": \"ada\", \"password\": \"$password\"}"
    printf 'POST /auth/login HTTP/1.1\r\nHost: 127.0.0.1:6767\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
        ${#body} "${body:0:10}" >&3
    rest=${body:10}
}
other_half() {
    printf '%s' "$rest" >&3
    timeout 60 cat <&3
    exec 3>&-
}

half
pid=$(property MainPID)
systemctl restart omnigent.service &
restart=$!
soon 'it says that it stops' sh -c 'systemctl show --property=StatusText omnigent.service | grep stopping'
has 'a request under way during a restart is answered' '"token":"' "$(other_half)"
wait "$restart"
same 'the restart went well' 'active success' "$(property ActiveState) $(property Result)"
if [ "$(property MainPID)" != "$pid" ]; then ok 'it is a new process'; else fail 'it is a new process'; fi

half
exec 4<>/dev/tcp/127.0.0.1/6767
before=$(now_ms)
systemctl stop omnigent.service
took=$(($(now_ms) - before))
exec 3>&- 4>&-
figure 'stop with a request that never ends, ms, emulated' "$took"
if [ "$took" -lt 30000 ]; then ok 'it stops before systemd would kill it'; else fail 'it stops before systemd would kill it' "$took ms"; fi
same 'of its own will' 'inactive success' "$(property ActiveState) $(property Result)"

cp $config good.toml
sed -i 's|^listen = .*|&\ndrain_delay = "35s"|' $config
systemctl start omnigent.service
before=$(now_ms)
systemctl stop omnigent.service
took=$(($(now_ms) - before))
if [ "$took" -gt 35000 ]; then ok 'it drains for as long as it is configured to'; else fail 'it drains for as long as it is configured to' "$took ms"; fi
same 'and systemd does not kill it, though the unit says less' 'inactive success' "$(property ActiveState) $(property Result)"
cp good.toml $config

systemctl start omnigent.service
before=$(now_ms)
systemctl stop omnigent.service
figure 'stop with nobody there, ms, emulated' $(($(now_ms) - before))
systemctl start omnigent.service

# systemd holds the socket, with the configuration of the step before: restarts and upgrades refuse nobody.
if [ ! -e plain.toml ]; then
    cp $config plain.toml
fi
knock() { curl --silent --insecure --output /dev/null --max-time 100 --write-out '%{http_code}\n' "$scheme://127.0.0.1:443/health"; }
knocking() {
    while [ ! -e enough ]; do
        knock >>knocked
        sleep 0.05
    done
}
scheme=http
! grep -q '^\[tls\]' $config || scheme=https

systemctl stop omnigent.service
works 'the socket is enabled and started' systemctl enable --now omnigent.socket
same 'the server is not there yet' inactive "$(systemctl is-active omnigent.service)"
same 'who knocks is let in' 200 "$(knock)"
same 'and the server runs' active "$(systemctl is-active omnigent.service)"

rm -f enough knocked
knocking &
for round in 1 2 3; do
    works "restart $round under way" systemctl restart omnigent.service
done
works 'and an upgrade' dpkg --force-confold --install new.deb
works 'back to the older' dpkg --force-confold --install old.deb
works 'and to the newer' dpkg --force-confold --install new.deb
touch enough
wait %% 2>/dev/null
figure 'requests during three restarts and three upgrades' "$(wc -l <knocked)"
same 'nobody was refused' 200 "$(sort -u knocked | tr '\n' ' ' | sed 's/ $//')"
same 'socket and server are active' 'active active' "$(systemctl is-active omnigent.socket omnigent.service | tr '\n' ' ' | sed 's/ $//')"

# A broken file: no endless loop, and a way back.
cp $config good.toml
echo 'nonsense = 1' >>$config
systemctl restart omnigent.service
knock >/dev/null &
sleep 20
same 'with a broken file the server is not started for ever' failed "$(systemctl is-active omnigent.service)"
figure 'the socket is then' "$(systemctl is-active omnigent.socket) ($(property Result omnigent.socket))"
cp good.toml $config
systemctl reset-failed omnigent.service omnigent.socket
works 'mended, both start' systemctl restart omnigent.socket omnigent.service
same 'and serve' 200 "$(knock)"

rm -rf /etc/omnigent/tls
works 'the socket is switched off' systemctl disable --now omnigent.socket
systemctl stop omnigent.service
cp plain.toml $config
here=http://127.0.0.1:6767
systemctl reset-failed omnigent.service omnigent.socket 2>/dev/null
works 'and the server listens by itself again' systemctl start omnigent.service
same 'where it did' 200 "$(curl --silent --output /dev/null --write-out '%{http_code}' $here/health)"

# It is killed, hangs, crashes in a row, cannot have its port: it comes back. A mistake in the file does not.
changed() { [ "$(property MainPID)" != "$1" ] && [ "$(systemctl is-active omnigent.service)" = active ]; }
systemctl reset-failed omnigent.service
systemctl restart omnigent.service
pid=$(property MainPID)
kill -KILL "$pid"
soon 'it is there again after kill -9' changed "$pid"
same 'with all data' "$ada" "$(whoami "$token")"

for round in 1 2 3 4 5 6 7; do
    pid=$(property MainPID)
    kill -KILL "$pid"
    soon "after crash $round in a row" changed "$pid"
done
figure 'restarts by systemd' "$(property NRestarts)"

drop_in watchdog <<'END'
[Service]
WatchdogSec=4
TimeoutAbortSec=2
END
systemctl restart omnigent.service
pid=$(property MainPID)
sleep 9
same 'it tells the watchdog that it lives' "$pid" "$(property MainPID)"
kill -STOP "$pid"
soon 'one that hangs is replaced' changed "$pid"
has 'by the watchdog' 'Watchdog timeout' "$(journalctl --no-pager --unit=omnigent.service | tail -n 40)"
no_drop_ins

systemctl stop omnigent.service
drop_in port <<'END'
[Service]
ExecStart=
ExecStart=/usr/bin/omnigent server --config /etc/omnigent/omnigent.toml --listen 127.0.0.1:7676
END
systemd-run --quiet --unit=squatter systemd-socket-activate --listen=127.0.0.1:7676 /bin/cat
soon 'the port is taken' sh -c 'grep -q ":1DFC " /proc/net/tcp'
systemctl start --no-block omnigent.service
restarted_often() { [ "$(property NRestarts)" -ge 8 ]; }
soon 'it goes on trying' restarted_often
systemctl stop squatter.service
soon 'until it can have it' systemctl is-active --quiet omnigent.service
no_drop_ins

cp $config good.toml
echo 'nonsense = 1' >>$config
systemctl restart omnigent.service
same 'a broken file is not tried again and again' 'failed exit-code 2' \
    "$(property ActiveState) $(property Result) $(property ExecMainStatus)"
cp good.toml $config
works 'it starts when it is mended' systemctl start omnigent.service

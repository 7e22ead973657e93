# The service starts, says so, and has no more rights than it needs.
works 'it is enabled and started' systemctl enable --now omnigent.service
same 'systemd heard that it is ready' active "$(property ActiveState)"
same 'its status says what it does' serving "$(property StatusText)"
started=$(property ExecMainStartTimestampMonotonic)
ready=$(property ActiveEnterTimestampMonotonic)
figure 'from the process to ready, ms, emulated' $(((ready - started) / 1000))
begun=$(property InactiveExitTimestampMonotonic)
figure 'from the request to ready, ms, emulated' $(((ready - begun) / 1000))
figure 'exposure' "$(systemd-analyze security --no-pager omnigent.service | sed -n 's/.*Overall exposure level for [^:]*: //p')"
works 'exposed by 1.5 of 10 at most' systemd-analyze security --no-pager --threshold=15 omnigent.service
pid=$(property MainPID)
same 'it runs as its user' omnigent "$(stat --format=%U "/proc/$pid")"
same 'one capability, for low ports' 0000000000000400 "$(sed -n 's/^CapEff:\t//p' "/proc/$pid/status")"
same 'and no other to be had' 0000000000000400 "$(sed -n 's/^CapBnd:\t//p' "/proc/$pid/status")"
same 'no new privileges' 1 "$(sed -n 's/^NoNewPrivs:\t//p' "/proc/$pid/status")"
same 'system calls are filtered' 2 "$(sed -n 's/^Seccomp:\t//p' "/proc/$pid/status")"
refused 'no other program can be run beside it' 126 nsenter --mount --target "$pid" /bin/true
has 'it starts with the machine' omnigent.service "$(systemctl list-dependencies --plain multi-user.target)"
same 'the data directory is its own' 'omnigent:omnigent 700' "$(about $data)"
same 'the keys are its own' 'omnigent:omnigent 600' "$(about $data/keyring.json)"

sed -n '/<!-- run: first-login -->/,/^```$/p' README.md | grep -v '^```\|^<!--' >first-login.sh
has 'the first login of the README works' "$ada" "$(sh -euc "$(cat first-login.sh)" 2>&1)"
token=$(sign_in)
same 'and again' "$ada" "$(whoami "$token")"
same 'a wrong password is refused' 401 "$(curl --silent --output /dev/null --write-out '%{http_code}' \
    $here/auth/login --json '{"username": "ada", "password": "wrong-wrong-wrong"}')"
has 'the log is in the journal' audit.began "$(journalctl --no-pager --unit=omnigent.service)"
same 'and has no colours' '' "$(journalctl --no-pager --output=cat --unit=omnigent.service | grep "$(printf '\033')")"
figure 'memory, KiB' "$(sed -n 's/^VmRSS:[\t ]*\([0-9]*\).*/\1/p' "/proc/$pid/status")"

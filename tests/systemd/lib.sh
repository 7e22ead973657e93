# What the steps share: verdicts, figures, and looking at the unit.
good=0
bad=0
config=/etc/omnigent/omnigent.toml
data=/var/lib/omnigent
here=http://127.0.0.1:6767

ok() {
    good=$((good + 1))
    printf 'ok %s\n' "$1"
}

fail() {
    bad=$((bad + 1))
    printf 'FAILED %s\n' "$1"
    [ -z "${2:-}" ] || printf '%s\n' "$2" | tail -n 15 | sed 's/^/    /'
}

figure() { printf 'figure %s: %s\n' "$1" "$2"; }

# works NAME COMMAND...
works() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then ok "$name"; else fail "$name" "exit code $?: $said"; fi
}

# refused NAME CODE COMMAND...: it ends with that exit code.
refused() {
    local name=$1 code=$2 said got=0
    shift 2
    said=$("$@" 2>&1) || got=$?
    if [ "$got" = "$code" ]; then ok "$name"; else fail "$name" "exit code $got, not $code: $said"; fi
}

# same NAME WANTED FOUND
same() {
    if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "$3, not $2"; fi
}

# has NAME PART TEXT
has() {
    case $3 in
    *"$2"*) ok "$1" ;;
    *) fail "$1" "not in it: $2; it is: $3" ;;
    esac
}

# soon NAME COMMAND...: it works within two minutes, which an emulated machine may need.
soon() {
    local name=$1 tries=0
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 600 ]; then
            fail "$name" "not within two minutes: $*"
            return
        fi
        sleep 0.2
    done
    ok "$name"
}

# property NAME [UNIT]
property() { systemctl show --property="$1" --value "${2:-omnigent.service}"; }

# about FILE: its owner, group and mode
about() { stat --format='%U:%G %a' "$1"; }

# drop_in NAME, with its text on standard input
drop_in() {
    mkdir -p /etc/systemd/system/omnigent.service.d
    cat >"/etc/systemd/system/omnigent.service.d/$1.conf"
    systemctl daemon-reload
}

no_drop_ins() {
    rm -rf /etc/systemd/system/omnigent.service.d
    systemctl daemon-reload
}

restarted() { systemctl restart omnigent.service; }

# now_ms: milliseconds of a clock that only goes forward
now_ms() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }

password=tidal-Orchid-77-lantern

# sign_in [CURL OPTION...]: a token of ada's
sign_in() {
    curl --silent --max-time 60 "$@" "$here/auth/login" \
        --json "{\"username\": \"ada\", \"password\": \"$password\"}" |
        sed 's/.*"token":"\([^"]*\)".*/\1/'
}

# whoami TOKEN [CURL OPTION...]
whoami() {
    local token=$1
    shift
    curl --silent --max-time 60 "$@" "$here/v1/me" --header "Authorization: Bearer $token"
}

ada='{"user_id":"ada","is_admin":true}'

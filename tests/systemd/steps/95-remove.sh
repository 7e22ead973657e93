# Removed, put back, purged: the data is the operator's.
works 'it is removed' dpkg --remove omnigent
same 'it does not run' inactive "$(systemctl is-active omnigent.service)"
same 'no process is left' '' "$(find /proc -maxdepth 1 -user omnigent 2>/dev/null)"
works 'the data stays' test -e $data/keyring.json
works 'the configuration stays' test -e $config
works 'it is put back' dpkg --install new.deb
systemctl reset-failed omnigent.service 2>/dev/null
works 'it starts' systemctl start omnigent.service
same 'with all accounts' "$ada" "$(whoami "$(sign_in)")"

has 'a purge tells that the data was kept' 'was kept' "$(dpkg --purge omnigent 2>&1)"
works 'and keeps it' test -e $data/keyring.json
works 'and its user, whose it is' getent passwd omnigent
same 'the configuration is gone' '' "$(ls $config 2>/dev/null)"
same 'and no unit is left behind' '' "$(find /etc/systemd/system /lib/systemd/system /var/lib/systemd -name '*omnigent*')"

rm -rf $data
works 'a fresh start' dpkg --install new.deb
works 'and a purge with nothing to keep' dpkg --purge omnigent
refused 'the user is gone too' 2 getent passwd omnigent
same 'and every file' '' "$(find / -xdev -name '*omnigent*' -not -path '/proc/*' -not -path '/root/*' -not -path '/var/log/*' -not -path '/tmp/*')"

# A newer package over the older: the server is the new one, the data and the operator's changes stay.
before=$(property MainPID)
chmod 0600 $config
works 'the newer package installs' dpkg --force-confold --install new.deb
same 'it is the newer one' "$(dpkg-deb --field new.deb Version)" "$(dpkg-query --show --showformat='${Version}' omnigent)"
same 'it runs' active "$(systemctl is-active omnigent.service)"
if [ "$(property MainPID)" != "$before" ]; then ok 'it was restarted'; else fail 'it was restarted'; fi
same 'nobody is signed out' "$ada" "$(whoami "$token")"
has 'the operator'"'"'s configuration stays' reviewer "$(cat $config)"
same 'and can be read by the server again' 'root:omnigent 640' "$(about $config)"
same 'it is enabled still' enabled "$(systemctl is-enabled omnigent.service)"

mv $config kept.toml
works 'an upgrade where the operator took the file away' dpkg --force-confold --install new.deb
same 'does not bring it back' '' "$(ls $config 2>/dev/null)"
cp kept.toml $config
chown root:omnigent $config
chmod 0640 $config
systemctl reset-failed omnigent.service
works 'it starts when the file is back' systemctl restart omnigent.service
same 'with all data' "$ada" "$(whoami "$token")"

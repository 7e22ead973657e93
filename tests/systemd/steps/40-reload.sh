# systemctl reload: what cannot work is refused aloud, what can is in force when the command returns.
pid=$(property MainPID)
printf '\n[[agent]]\nname = "reviewer"\ndescription = "Reads pull requests"\n' >>$config
works 'a changed file is reloaded' systemctl reload omnigent.service
has 'and in force at once' reviewer "$(curl --silent $here/v1/agents --header "Authorization: Bearer $token")"
cp $config good.toml
echo 'nonsense = 1' >>$config
refused 'a broken file fails the reload' 1 systemctl reload omnigent.service
has 'the journal says why' nonsense "$(journalctl --no-pager --unit=omnigent.service | tail -n 20)"
same 'the service is unharmed' active "$(systemctl is-active omnigent.service)"
cp good.toml $config
mkdir -p /opt/plugins
cp /usr/lib/omnigent/*.so /opt/plugins/
sed -i 's|^listen = .*|&\nplugin_dir = "/opt/plugins"|' $config
works 'plugins are loaded from where no program can be run' systemctl restart omnigent.service
same 'and work' "$ada" "$(whoami "$(sign_in)")"
cp good.toml $config
systemctl restart omnigent.service
pid=$(property MainPID)
kill -HUP "$pid"
soon 'SIGHUP does it too' sh -c 'journalctl --no-pager --unit=omnigent.service | grep "configuration reloaded"'
same 'all by the same process' "$pid" "$(property MainPID)"
same 'and it is ready' 'active serving' "$(property ActiveState) $(property StatusText)"

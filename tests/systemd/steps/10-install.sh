# An older version on a clean Debian: what is where, whose it is, and that nothing runs yet.
works 'the older package installs' dpkg --install old.deb
same 'nothing runs until the operator says so' inactive "$(systemctl is-active omnigent.service)"
same 'nothing is enabled' disabled "$(systemctl is-enabled omnigent.service)"
same 'the socket is not enabled' disabled "$(systemctl is-enabled omnigent.socket)"
same 'the configuration is for the server to read' 'root:omnigent 640' "$(about $config)"
same 'so is its folder' 'root:omnigent 750' "$(about /etc/omnigent)"
same 'the command is root'"'"'s' 'root:root 755' "$(about /usr/bin/omnigent)"
for plugin in /usr/lib/omnigent/*.so; do
    same "$(basename "$plugin") is root's" 'root:root 644' "$(about "$plugin")"
done
same 'five plugins' 5 "$(find /usr/lib/omnigent -name '*.so' | wc -l)"
same 'the user cannot sign in to the machine' /usr/sbin/nologin "$(getent passwd omnigent | cut -d: -f7)"
has 'the plugins are found' accounts "$(omnigent plugin list --config $config 2>&1)"
works 'the configuration is good' omnigent config check $config
works 'there is a manual' gzip --test /usr/share/man/man1/omnigent.1.gz
works 'the completions are bash' bash -n /usr/share/bash-completion/completions/omnigent
same 'dpkg finds its files unaltered' '' "$(dpkg --verify omnigent)"
works 'systemd takes the units' systemd-analyze verify --man=no \
    /lib/systemd/system/omnigent.service /lib/systemd/system/omnigent.socket
figure 'installed size, KiB' "$(dpkg-query --show --showformat='${Installed-Size}' omnigent)"

# The operator's commands, as root and as the server's user, with the server up and down.
has 'root reaches the running server' ada "$(omnigent account list 2>&1)"
works 'and makes a backup of it' omnigent backup /root/backup
works 'which is good' omnigent backup verify /root/backup --drill
works 'its user reaches it too' runuser -u omnigent -- omnigent account list --config $config
has 'the doctor finds nothing failed' 0 "$(runuser -u omnigent -- omnigent doctor --config $config >doctor.txt 2>&1; echo $?)"
grep -v '^ok' doctor.txt | sed 's/^/    /'

systemctl stop omnigent.service
same 'it stops' inactive "$(systemctl is-active omnigent.service)"
same 'and nothing failed' success "$(property Result)"
refused 'root does not write in the directory of another' 2 omnigent key rotate
has 'and hears what to do' 'as that user' "$(omnigent key rotate 2>&1)"
works 'its user works on the directory of a stopped server' runuser -u omnigent -- omnigent key rotate --config $config
same 'nothing there is root'"'"'s' '' "$(find $data ! -user omnigent)"
works 'it starts again' systemctl start omnigent.service
same 'and nobody is signed out' "$ada" "$(whoami "$token")"

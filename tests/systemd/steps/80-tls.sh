# TLS on port 443, with a certificate only root may read, by way of LoadCredential; and its renewal.
certificate() {
    openssl req -quiet -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" \
        -addext 'subjectAltName=DNS:auth.example.com' -keyout /root/tls/key.pem -out /root/tls/cert.pem 2>/dev/null ||
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" \
            -addext 'subjectAltName=DNS:auth.example.com' -keyout /root/tls/key.pem -out /root/tls/cert.pem 2>/dev/null
}
served() { openssl s_client -connect 127.0.0.1:443 -servername auth.example.com </dev/null 2>/dev/null | openssl x509 -noout -subject; }

mkdir -p -m 0700 /root/tls
certificate first
drop_in tls <<'END'
[Service]
LoadCredential=tls-certificate:/root/tls/cert.pem
LoadCredential=tls-key:/root/tls/key.pem
END
cp $config plain.toml
sed -i 's|^listen = .*|listen = "0.0.0.0:443"\npublic_url = "https://auth.example.com"|' $config
cat >>$config <<'END'

[tls]
certificate_file = "/run/credentials/omnigent.service/tls-certificate"
key_file = "/run/credentials/omnigent.service/tls-key"
END
works 'it starts on port 443 with a credential' systemctl restart omnigent.service
here=https://auth.example.com
safe='--cacert /root/tls/cert.pem'
token=$(sign_in $safe)
same 'people sign in over TLS' "$ada" "$(whoami "$token" $safe)"
has 'over HTTP/2' 2 "$(curl --silent $safe --output /dev/null --write-out '%{http_version}' $here/health)"
same 'the key is for the server only' 'may not' "$(runuser -u nobody -- cat /run/credentials/omnigent.service/tls-key >/dev/null 2>&1 && echo may || echo 'may not')"

certificate second
systemctl reload omnigent.service
has 'credentials are of the start: a reload does not renew them' first "$(served)"
works 'a restart does' systemctl restart omnigent.service
has 'then it is the new one' second "$(served)"

# The other way: files the server may read, put there by what renews them.
install -d -m 0750 -o root -g omnigent /etc/omnigent/tls
deploy() {
    for name in cert key; do
        install -m 0640 -o root -g omnigent "/root/tls/$name.pem" "/etc/omnigent/tls/.$name.new"
        mv "/etc/omnigent/tls/.$name.new" "/etc/omnigent/tls/$name.pem"
    done
}
deploy
sed -i 's|/run/credentials/omnigent.service/tls-certificate|/etc/omnigent/tls/cert.pem|;s|/run/credentials/omnigent.service/tls-key|/etc/omnigent/tls/key.pem|' $config
no_drop_ins
works 'it starts with files of its own' systemctl restart omnigent.service
pid=$(property MainPID)
certificate third
deploy
works 'and takes a renewed pair at a reload' systemctl reload omnigent.service
has 'which is served' third "$(served)"
certificate fourth
deploy
soon 'and by itself' sh -c "openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null | openssl x509 -noout -subject | grep fourth"
same 'without a restart' "$pid" "$(property MainPID)"

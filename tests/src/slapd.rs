//! A real OpenLDAP server with a few people.

use std::{
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::idp::free_port;

/// The suffix of everything.
pub const BASE: &str = "dc=example,dc=org";

/// A directory server that runs. Dropping it ends it.
pub struct Slapd {
    child: Option<Child>,
    port: u16,
    dir: TempDir,
}

impl Slapd {
    /// One with these people and groups, besides its own root `cn=admin`, password `root-pass-77`. Who is
    /// `guided` has an `objectGUID` of bytes and `memberOf`, as in Active Directory.
    #[track_caller]
    pub fn start(ldif: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("db")).expect("a folder");
        // A certificate nobody knows, for StartTLS.
        run(Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=127.0.0.1",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
            .arg("-keyout")
            .arg(path("key.pem"))
            .arg("-out")
            .arg(path("cert.pem")));
        let conf = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\ninclude /etc/ldap/schema/nis.schema\n\
             attributetype ( 1.3.6.1.4.1.55555.1 NAME 'objectGUID' EQUALITY octetStringMatch \
             SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )\n\
             attributetype ( 1.3.6.1.4.1.55555.3 NAME 'memberOf' EQUALITY distinguishedNameMatch \
             SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )\n\
             objectclass ( 1.3.6.1.4.1.55555.2 NAME 'guided' SUP top AUXILIARY MAY ( objectGUID $ memberOf ) )\n\
             pidfile {root}/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             TLSCertificateFile {root}/cert.pem\nTLSCertificateKeyFile {root}/key.pem\n\
             sizelimit 500\ndatabase mdb\nmaxsize 104857600\nsuffix \"{BASE}\"\nrootdn \"cn=admin,{BASE}\"\n\
             rootpw root-pass-77\ndirectory {root}/db\n\
             limits dn.exact=\"cn=search,{BASE}\" size=500 size.prtotal=unlimited\n\
             access to attrs=userPassword by anonymous auth by * none\naccess to * by users read by * read\n",
            root = dir.path().display()
        );
        std::fs::write(path("slapd.conf"), conf).expect("written");
        let whole = format!(
            "dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Example\n\n\
             dn: ou=people,{BASE}\nobjectClass: organizationalUnit\n\n\
             dn: ou=groups,{BASE}\nobjectClass: organizationalUnit\n\n{ldif}\n"
        );
        std::fs::write(path("people.ldif"), whole).expect("written");
        run(Command::new("/usr/sbin/slapadd")
            .arg("-q")
            .arg("-f")
            .arg(path("slapd.conf"))
            .arg("-l")
            .arg(path("people.ldif")));
        let mut slapd = Self {
            child: None,
            port: free_port(),
            dir,
        };
        slapd.come_up();
        slapd
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// The certificate it shows, as a CA file.
    pub fn certificate(&self) -> std::path::PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// Starts it again.
    #[track_caller]
    pub fn come_up(&mut self) {
        let child = Command::new("/usr/sbin/slapd")
            .args(["-d", "0", "-h", &self.url()])
            .arg("-f")
            .arg(self.dir.path().join("slapd.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("slapd is installed"));
        let is_up = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        assert!(is_up, "slapd did not start");
    }

    /// Stops it.
    pub fn go_down(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Changes entries, as its root.
    #[track_caller]
    pub fn modify(&self, ldif: &str) {
        let file = self.dir.path().join("change.ldif");
        std::fs::write(&file, ldif).expect("written");
        run(Command::new("ldapmodify")
            .args([
                "-x",
                "-H",
                &self.url(),
                "-D",
                &format!("cn=admin,{BASE}"),
                "-w",
                "root-pass-77",
                "-f",
            ])
            .arg(file));
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.go_down();
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}

//! A real mail server, and people's mailboxes.

use std::{fs, net::TcpStream, process::Command};

use crate::{wait, world};

/// The password of the mail user `login`.
pub const SASL_PASSWORD: &str = "mail horse";
/// The authority that vouches for the server.
pub const AUTHORITY: &str = "/etc/postfix/ca.pem";

/// A running Postfix, which is stopped when dropped.
pub struct Postfix(());

impl Postfix {
    /// Starts it without its SMTP server: mail comes by sendmail(1) alone.
    #[must_use]
    pub fn local() -> Self {
        world::sh("sed -i '/^smtp  *inet/d' /etc/postfix/master.cf");
        Self::prepared(false)
    }

    /// Starts it on loopback, with mailboxes of local users; `tls`: it takes mail only behind STARTTLS, of who logs in.
    #[must_use]
    pub fn start(tls: bool) -> Self {
        let postfix = Self::prepared(tls);
        wait::until("postfix", 10, || TcpStream::connect("127.0.0.1:25").ok());
        postfix
    }

    fn prepared(tls: bool) -> Self {
        let main = "compatibility_level = 3.6\nmyhostname = localhost\nmydestination = localhost, example.com\n\
                    inet_interfaces = loopback-only\ninet_protocols = ipv4\nhome_mailbox = Maildir/\n\
                    mynetworks = 127.0.0.0/8\nalias_maps =\nsmtpd_tls_key_file = /etc/postfix/own.key\n\
                    smtpd_tls_cert_file = /etc/postfix/own.pem\n";
        let strict = "smtpd_tls_security_level = encrypt\nsmtpd_tls_auth_only = yes\nsmtpd_sasl_auth_enable = yes\n\
                      smtpd_sasl_path = smtpd\nsmtpd_recipient_restrictions = permit_sasl_authenticated, reject\n\
                      smtpd_relay_restrictions = permit_sasl_authenticated, reject\n";
        fs::write("/etc/postfix/main.cf", format!("{main}{}", if tls { strict } else { "" })).unwrap();
        world::sh(
            "cd /etc/postfix && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=own -keyout ca.key -out ca.pem \
             2>/dev/null && openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout own.key -out own.csr 2>/dev/null \
             && printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' > own.ext && openssl x509 -req -in own.csr \
             -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile own.ext -out own.pem 2>/dev/null && \
             mkdir -p /etc/postfix/sasl && \
             printf 'pwcheck_method: auxprop\\nauxprop_plugin: sasldb\\nmech_list: PLAIN LOGIN\\n' > /etc/postfix/sasl/smtpd.conf && \
             printf 'mail horse' | saslpasswd2 -p -c -u localhost login && chmod 644 /etc/sasldb2 && \
             sed -i 's/^smtp  *inet.*/smtp inet n - n - - smtpd/' /etc/postfix/master.cf && \
             postfix start 2>/dev/null",
        );
        Self(())
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = Command::new("postfix").arg("stop").output();
    }
}

/// All mails of a user, oldest first.
#[must_use]
pub fn mails(user: &str) -> Vec<String> {
    let folder = fs::read_dir(format!("/home/{user}/Maildir/new"));
    let mut files: Vec<_> = folder.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort_by_key(|path| fs::metadata(path).and_then(|about| about.modified()).ok());
    files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Waits for the mail number `count` of a user; returns it.
#[must_use]
pub fn mail(user: &str, count: usize) -> String {
    wait::until("the mail", 15, || mails(user).into_iter().nth(count - 1))
}

/// The code in a mail: the first line of its text.
#[must_use]
pub fn code_in(mail: &str) -> String {
    let body = mail.split_once("\n\n").or_else(|| mail.split_once("\r\n\r\n")).expect("a body").1;
    body.lines().next().expect("a line").trim().to_owned()
}

/// The link in a mail: the first line of its text, which quoted-printable may have broken (RFC 2045 section 6.7).
#[must_use]
pub fn link_in(mail: &str) -> String {
    code_in(&mail.replace("=\r\n", "").replace("=\n", "").replace("=3D", "="))
}

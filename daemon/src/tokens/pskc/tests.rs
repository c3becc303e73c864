use super::super::tests::{KEY, plain, read_with, refused};
use crate::{factor::totp::Algorithm, secret::Secret};

use super::*;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc" xmlns:ds="http://www.w3.org/2000/09/xmldsig#"
 xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:xenc11="http://www.w3.org/2009/xmlenc11#"
 xmlns:pkcs5="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#">
"#;
const SECRET: &str = "<Secret><PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret>";
const DECIMAL: &str =
    r#"<AlgorithmParameters><ResponseFormat Length="8" Encoding="DECIMAL"/></AlgorithmParameters>"#;

fn container(inside: &str) -> String {
    format!("{HEAD}{inside}</KeyContainer>\n")
}

/// A package as in figures 3, 5, 6 and 7 of RFC 6030; the key begins in line 5 of the file, column 91.
fn package(kind: &str, data: &str, rest: &str) -> String {
    format!(
        "<KeyPackage><DeviceInfo><Manufacturer>Acme</Manufacturer><SerialNo>987654321</SerialNo></DeviceInfo>\
             <Key Id=\"12345678\" Algorithm=\"urn:ietf:params:xml:ns:keyprov:pskc{kind}\"><Issuer>Issuer</Issuer>{rest}\
             <Data>{data}</Data></Key></KeyPackage>"
    )
}

fn of(kind: &str, data: &str, rest: &str) -> String {
    container(&package(kind, data, rest))
}

fn encrypted(cipher: &str, value: &str) -> String {
    format!(
        "<xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#{cipher}\"/><xenc:CipherData>\
             <xenc:CipherValue>\n {value}\n</xenc:CipherValue></xenc:CipherData>"
    )
}

fn value(name: &str, cipher: &str, value: &str, mac: &str) -> String {
    let value = encrypted(cipher, value);
    format!("<{name}><EncryptedValue>{value}</EncryptedValue><ValueMAC>{mac}</ValueMAC></{name}>")
}

fn mac_method(hash: &str, key: &str) -> String {
    format!("<MACMethod Algorithm=\"http://www.w3.org/{hash}\">{key}</MACMethod>")
}

fn mac_key(cipher: &str, key: &str) -> String {
    format!("<MACKey>{}</MACKey>", encrypted(cipher, key))
}

const SHA1: &str = "2000/09/xmldsig#hmac-sha1";
const PRE_SHARED: &str = "<EncryptionKey><ds:KeyName>Pre-shared-key</ds:KeyName></EncryptionKey>";
const MAC_KEY_6: &str = "ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX";
const VALUE_6: &str = "AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv";
const MAC_6: &str = "Su+NvtQfmvfJzF6bmQiJqoLRExc=";

/// RFC 6030 section 6.1, figure 6.
fn figure_6() -> String {
    container(&format!(
        "{PRE_SHARED}{}{}",
        mac_method(SHA1, &mac_key("aes128-cbc", MAC_KEY_6)),
        package(":hotp", &(value("Secret", "aes128-cbc", VALUE_6, MAC_6) + ZERO), DECIMAL)
    ))
}

const ZERO: &str = "<Counter><PlainValue>0</PlainValue></Counter>";

fn derived_key(iterations: &str, prf: &str, salt: &str, length: &str) -> String {
    format!(
        "<EncryptionKey><xenc11:DerivedKey><xenc11:KeyDerivationMethod Algorithm=\"http://www.rsasecurity.com/rsalabs/\
             pkcs/schemas/pkcs-5v2-0#pbkdf2\"><pkcs5:PBKDF2-params><Salt><Specified>{salt}</Specified></Salt>\
             <IterationCount>{iterations}</IterationCount><KeyLength>{length}</KeyLength>{prf}</pkcs5:PBKDF2-params>\
             </xenc11:KeyDerivationMethod><xenc:ReferenceList><xenc:DataReference URI=\"#ED\"/></xenc:ReferenceList>\
             <xenc11:MasterKeyName>My Password 1</xenc11:MasterKeyName></xenc11:DerivedKey></EncryptionKey>"
    )
}

/// RFC 6030 section 6.2, figure 7.
fn figure_7() -> String {
    let mac_key = mac_key("aes128-cbc", "2GTTnLwM3I4e5IO5FkufoOEiOhNj91fhKRQBtBJYluUDsPOLTfUvoU2dStyOwYZx");
    let secret = value(
        "Secret",
        "aes128-cbc",
        "oTvo+S22nsmS2Z/RtcoF8Hfh+jzMe0RkiafpoDpnoZTjPYZu6V+A4aEn032yCr4f",
        "LP6xMvjtypbfT9PdkJhBZ+D6O4w=",
    );
    container(&format!(
        "{}{}{}",
        derived_key("1000", "<PRF/>", "Ej7/PEpyEpw=", "16"),
        mac_method(SHA1, &mac_key),
        package(":hotp", &secret, DECIMAL)
    ))
}

fn key(hexadecimal: &str) -> Unlock {
    let key = data_encoding::HEXLOWER.decode(hexadecimal.as_bytes()).unwrap();
    Unlock { key: Some(Secret::new(key)), password: None }
}

fn key_6() -> Unlock {
    key("12345678901234567890123456789012")
}

fn password(password: &str) -> Unlock {
    Unlock { password: Some(Secret::new(password.to_owned())), key: None }
}

fn one(text: &str, unlock: &Unlock) -> Token {
    let mut tokens = read_with(text, unlock).unwrap();
    assert_eq!(tokens.len(), 1);
    tokens.pop().unwrap()
}

/// What is said when `from` stands where `to` did.
fn changed(text: &str, from: &str, to: &str, unlock: &Unlock) -> String {
    assert!(text.contains(from), "{from}");
    read_with(text.replace(from, to), unlock).err().unwrap_or_else(|| panic!("{to} was taken"))
}

const NO_FIT: &str = "the MAC does not fit: wrong password or key, or the file was changed";

#[test]
fn the_plain_figures_of_rfc_6030_are_read() {
    let token = one(&of(":hotp", &format!("{SECRET}{ZERO}"), DECIMAL), &Unlock::default());
    assert_eq!((token.serial.as_str(), token.manufacturer.as_str()), ("987654321", "Acme"));
    assert_eq!((token.kind, token.counter, token.drift), (Kind::Hotp, 0, 0));
    assert_eq!(token.parameters, Parameters { algorithm: Algorithm::Sha1, digits: 8, period: 30 });
    assert_eq!(token.key.expose(), KEY);

    // Figure 2 with a longer key: nothing but what is required, under a prefix.
    let least = "<foo:KeyContainer Version=\"1.0\" xmlns:foo=\"urn:ietf:params:xml:ns:keyprov:pskc\"><foo:KeyPackage>\
             <foo:Key Id=\"12345678\" Algorithm=\"urn:ietf:params:xml:ns:keyprov:pskc:totp\"><foo:Data><foo:Secret>\
             <foo:PlainValue>MTIzNDU2Nzg5MDEy<!-- -->MzQ1Njc4OTA=\n</foo:PlainValue></foo:Secret></foo:Data></foo:Key>\
             </foo:KeyPackage></foo:KeyContainer>";
    let token = one(least, &Unlock::default());
    assert_eq!((token.serial.as_str(), token.kind), ("12345678", Kind::Totp));
    assert_eq!(token.parameters, Parameters { algorithm: Algorithm::Sha1, digits: 6, period: 30 });
    assert_eq!(token.key.expose(), KEY);
}

#[test]
fn totp_has_its_suite_its_interval_and_its_drift() {
    let data = format!(
        "{SECRET}<Time><PlainValue>0</PlainValue></Time><TimeInterval><PlainValue>60</PlainValue></TimeInterval>\
             <TimeDrift><PlainValue>-4</PlainValue></TimeDrift>"
    );
    let rest = "<AlgorithmParameters><Suite>HMAC-SHA512</Suite></AlgorithmParameters>\
             <Policy><KeyUsage>OTP</KeyUsage></Policy>";
    let token = one(&of("#totp", &data, rest), &Unlock::default());
    assert_eq!((token.kind, token.counter, token.drift), (Kind::Totp, 0, -4));
    assert_eq!(token.parameters, Parameters { algorithm: Algorithm::Sha512, digits: 6, period: 60 });
}

#[test]
fn the_encrypted_figures_of_rfc_6030_open_with_their_key_and_no_other() {
    assert_eq!(one(&figure_6(), &key_6()).key.expose(), KEY);
    assert_eq!(one(&figure_7(), &password("qwerty")).key.expose(), KEY);
    let said = |text: &str, unlock: &Unlock| read_with(text, unlock).err().unwrap();
    for wrong in 0..=255 {
        let wrong = key(&format!("12345678901234567890123456789{wrong:03x}"));
        if wrong.key.as_ref().map(Secret::expose) != key_6().key.as_ref().map(Secret::expose) {
            assert!(said(&figure_6(), &wrong).ends_with(NO_FIT));
        }
    }
    assert!(said(&figure_7(), &password("qwertz")).ends_with(NO_FIT));
    assert!(
        said(&figure_6(), &password("qwerty")).ends_with("with a pre-shared key: say it, in hexadecimal")
    );
    assert!(said(&figure_7(), &key_6()).ends_with("with a password: say it"));
    assert!(said(&figure_6(), &key("00")).ends_with("the key must have 16 bytes; this one has 1"));
}

/// Made with Python's hashlib and hmac and OpenSSL's enc.
#[test]
fn other_lengths_and_hashes_open_too() {
    let salt = "c2FsdHNhbHQ=";
    let prf = "<pkcs5:PRF Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#hmac-sha256\"/>";
    let sha256 = "2001/04/xmldsig-more#hmac-sha256";
    let cipher = "aes256-cbc";
    let mac_key = mac_key(
        cipher,
        "ICEiIyQlJicoKSorLC0uLzFV6DveiBMwPYNwDiP+jXvO4T7PyMetm/H2ooO4cVWwgkfoRGLAafbEoWMw2Gd7AQ==",
    );
    let secret = value(
        "Secret",
        cipher,
        "AAECAwQFBgcICQoLDA0OD/3z+kX7+KI5PCzv9qic4sTXr4RrdmKDjuxMbz32SpWb",
        "9aiW8D+/XlePiDD4Rf1JFXJhlbuwC9xVMlHrswyAwtc=",
    );
    for (counter, expected) in [
        (ZERO.to_owned(), 0),
        (
            value(
                "Counter",
                cipher,
                "AAECAwQFBgcICQoLDA0ODz1irQEulh18AXjrBF9jEZQ=",
                "RFao3M2nb6lb8FzC9AULoLaBmf1WmL08cIGbfNvbCbw=",
            ),
            300,
        ),
        (
            value(
                "Counter",
                cipher,
                "AAECAwQFBgcICQoLDA0OD7Um0xXuq/shuTu9BKMrhT8=",
                "KKQGleXZklmdZIOG2SrmJ0fmCQI4/oT/li4VPOerdh0=",
            ),
            77,
        ),
    ] {
        let text = container(&format!(
            "{}{}{}",
            derived_key("2000", prf, salt, "32"),
            mac_method(sha256, &mac_key),
            package(":hotp", &format!("{secret}{counter}"), DECIMAL)
        ));
        let token = one(&text, &password("correct horse"));
        assert_eq!((token.key.expose().as_slice(), token.counter), (KEY, expected));
    }

    // The encryption key is the key of the MAC where there is no other.
    let secret = value(
        "Secret",
        "aes192-cbc",
        "AAECAwQFBgcICQoLDA0OD8jqozXd8EqK5sEGpxIJaiAQHRQhE4geqF75FjmH5hNG",
        "BEOaBN7i10vJEY2xM2X7CYTZtCqL7XllkOFopdsf54rVNA3ncJIzp6++mjIVChugQWquQgbYqfAKD6fzE4Bvtw==",
    );
    let method = mac_method("2001/04/xmldsig-more#hmac-sha512", "");
    let text = container(&format!("{method}{}", package(":hotp", &secret, "")));
    let token = one(&text, &key("6465666768696a6b6c6d6e6f707172737475767778797a7b"));
    assert_eq!(token.key.expose(), KEY);
}

#[test]
fn an_encrypted_value_needs_a_mac_that_fits() {
    let whole = figure_6();
    let said = |from: &str, to: &str| changed(&whole, from, to, &key_6());
    assert!(said(MAC_6, "Su+NvtQfmvfJzF6bmQiJqoLRExd=").ends_with("ValueMAC is no Base64"));
    for (from, to) in [
        (MAC_6, "Su+NvtQfmvfJzF6bmQiJqoLRExg="),
        (MAC_6, "Su+NvtQfmvfJzF6bmQ=="),
        (MAC_6, ""),
        (VALUE_6, "AQECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv"),
        (VALUE_6, ""),
        (MAC_KEY_6, ""),
        (MAC_KEY_6, "AAAA"),
        (SHA1, "2001/04/xmldsig-more#hmac-sha256"),
    ] {
        let said = said(from, to);
        assert!(said.ends_with(NO_FIT), "{to}: {said}");
    }
    let none = "the value is encrypted and has no MAC (MACMethod, ValueMAC): anybody could have changed it";
    assert!(said(&format!("<ValueMAC>{MAC_6}</ValueMAC>"), "").ends_with(none));
    assert!(said(&mac_method(SHA1, &mac_key("aes128-cbc", MAC_KEY_6)), "").ends_with(none));
    let twice = said("<ValueMAC>", "<ValueMAC/><ValueMAC>");
    assert!(twice.ends_with("there is more than one ValueMAC"));
}

/// The last block of an encrypted MAC key is padding: by itself it is an empty key, and everybody can make a MAC.
#[test]
fn a_mac_key_is_not_cut_off() {
    let forged = figure_6()
        .replace(MAC_KEY_6, "AAAAAAAAAAAAAAAAAAAAAEkjMxwBtv59IgNg32p/b7I=")
        .replace(MAC_6, "D4mq/i2ujoUMrTYEWqF/I/sLLGs=");
    assert!(read_with(forged, &key_6()).err().unwrap().ends_with(NO_FIT));
}

#[test]
fn what_is_not_supported_is_named() {
    let aes = "http://www.w3.org/2001/04/xmlenc#aes128-cbc";
    let said = |from: &str, to: &str| changed(&figure_6(), from, to, &key_6());
    assert!(said(aes, "http://www.w3.org/2001/04/xmlenc#tripledes-cbc").contains("xmlenc#tripledes-cbc\""));
    assert!(said(SHA1, "2001/04/xmldsig-more#hmac-md5").contains("hmac-md5\""));
    assert!(said("<ds:KeyName>Pre-shared-key</ds:KeyName>", "<ds:X509Data/>").contains("with X509Data"));
    assert!(said("<MACKey>", "<MACKeyReference>x</MACKeyReference><MACKey>").contains("MACKeyReference"));
    let said = |from: &str, to: &str| changed(&figure_7(), from, to, &password("qwerty"));
    assert!(said("#pbkdf2", "#scrypt").contains("#scrypt\""));
    assert!(said("<PRF/>", "<PRF Algorithm=\"urn:md5\"/>").contains("\"urn:md5\""));
    assert!(said("<PRF/>", "<PRF><Hash/></PRF>").contains("derived with \"\""));
    assert!(said("<KeyLength>16", "<KeyLength>17").ends_with("KeyLength is none of 16, 24 and 32"));
    assert!(said("<KeyLength>16", "<KeyLength>32").ends_with("the key must have 16 bytes; this one has 32"));
    assert!(said("Specified", "OtherSource").ends_with("Salt has no Specified"));
}

#[test]
fn a_password_is_not_stretched_for_ever() {
    for iterations in ["0", "-1", "1000001", "1000000000", "4294967297"] {
        let to = format!("<IterationCount>{iterations}<");
        let said = changed(&figure_7(), "<IterationCount>1000<", &to, &password("qwerty"));
        assert!(said.ends_with("IterationCount is not 1 to 1000000"), "{said}");
    }
    let said = changed(&figure_7(), "<IterationCount>1000<", "<IterationCount>1e3<", &password("qwerty"));
    assert!(said.ends_with("the IterationCount is no whole number"), "{said}");
}

#[test]
fn a_policy_that_is_not_understood_is_refused() {
    for (rule, name) in [
        ("<StartDate>2006-05-01T00:00:00Z</StartDate>", "StartDate"),
        ("<ExpiryDate>2096-05-31T00:00:00Z</ExpiryDate>", "ExpiryDate"),
        ("<PINPolicy MinLength=\"4\" PINKeyId=\"1\" PINUsageMode=\"Local\"/>", "PINPolicy"),
        ("<NumberOfTransactions>5</NumberOfTransactions>", "NumberOfTransactions"),
        ("<x:Rule xmlns:x=\"urn:x\"/>", "Rule"),
        ("<x:KeyUsage xmlns:x=\"urn:x\">OTP</x:KeyUsage>", "KeyUsage"),
        ("<KeyUsage>CR</KeyUsage>", "CR"),
        ("<KeyUsage>OTP</KeyUsage><KeyUsage>Encrypt</KeyUsage>", "Encrypt"),
        ("<KeyUsage/>", ""),
    ] {
        let said = refused(of(":hotp", SECRET, &format!("<Policy>{rule}</Policy>")));
        assert!(said.starts_with("line 5, column ") && said.contains(name), "{said}");
    }
}

#[test]
fn what_a_key_does_differently_is_refused() {
    let response = |attributes: &str| {
        let format = format!("<AlgorithmParameters><ResponseFormat {attributes}/></AlgorithmParameters>");
        refused(of(":hotp", SECRET, &format))
    };
    assert!(response("Encoding=\"HEXADECIMAL\" Length=\"6\"").contains("not decimal"));
    assert!(response("Length=\"6\"").contains("not decimal"));
    assert!(response("Encoding=\"DECIMAL\" Length=\"9\"").contains("6 to 8 digits"));
    assert!(response("Encoding=\"DECIMAL\" Length=\"x\"").contains("Length is no whole number"));
    assert!(response("Encoding=\"DECIMAL\" CheckDigits=\"true\"").contains("check digit"));
    for (kind, data, rest, expected) in [
        (
            ":ocra",
            "",
            "",
            "neither for HOTP nor for TOTP, but for \"urn:ietf:params:xml:ns:keyprov:pskc:ocra\"",
        ),
        (":pin", "", "", "neither for HOTP nor for TOTP"),
        (":hotp", "", "<AlgorithmParameters><ChallengeFormat/></AlgorithmParameters>", "ChallengeFormat"),
        (
            ":totp",
            "",
            "<AlgorithmParameters><Suite>MD5</Suite></AlgorithmParameters>",
            "algorithm is none of",
        ),
        (":totp", "<Time><PlainValue>1</PlainValue></Time>", "", "Time is not 0"),
        (":totp", "<TimeInterval><PlainValue>61</PlainValue></TimeInterval>", "", "15 to 60 seconds"),
        (":totp", "<TimeDrift><PlainValue>11</PlainValue></TimeDrift>", "", "more than 10 steps off"),
        (":hotp", "<Counter><PlainValue>-1</PlainValue></Counter>", "", "the counter is 0 to"),
        (":hotp", "<Counter><PlainValue>x</PlainValue></Counter>", "", "the Counter is no whole number"),
        (":hotp", "<Counter/>", "", "Counter has no value, or two"),
        (":hotp", "<Pin/>", "", "the key has Pin, which is not supported"),
        (":hotp", "<x:Counter xmlns:x=\"urn:x\"/>", "", "the key has Counter, which is not supported"),
        (":hotp", SECRET, "", "there is more than one Secret"),
        (":hotp", "", "<Data/>", "there is more than one Data"),
    ] {
        let said = refused(of(kind, &format!("{SECRET}{data}"), rest));
        assert!(said.starts_with("line 5, column ") && said.contains(expected), "{said}");
    }
    let short = refused(of(":hotp", "<Secret><PlainValue>MTIzNA==</PlainValue></Secret>", ""));
    assert!(short.ends_with("the secret has 32 bits: under 80 none is safe"), "{short}");
    let none = refused(of(":hotp", "<Secret><PlainValue>?</PlainValue></Secret>", ""));
    assert!(none.ends_with("PlainValue is no Base64"), "{none}");
    assert!(refused(of(":hotp", "", "")).ends_with("Data has no Secret"));
    assert!(refused(container("<KeyPackage/>")).ends_with("line 5, column 1: KeyPackage has no Key"));
    assert_eq!(refused(container("")), "the file: there is no token in it");
    let version = of(":hotp", SECRET, "").replace("Version=\"1.0\"", "Version=\"2.0\"");
    assert_eq!(refused(version), "line 2, column 1: Version is not 1.0");
}

#[test]
fn two_keys_of_one_serial_are_refused_and_both_places_named() {
    let package = package(":hotp", SECRET, "");
    let said = refused(container(&format!("{package}\n {package}")));
    assert_eq!(said, "line 6, column 2: the serial 987654321 is also at line 5, column 1");
}

#[test]
fn a_document_type_definition_is_not_read() {
    let laughs = "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol1 \"&lol;&lol;&lol;&lol;&lol;&lol;&lol;\">\
             <!ENTITY lol2 \"&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;\">]>";
    let external = "<!DOCTYPE x [<!ENTITY x SYSTEM \"file:///etc/shadow\">]>";
    for dtd in [laughs, external, "<!DOCTYPE x SYSTEM \"http://example.com/x.dtd\">"] {
        let text = of(":hotp", SECRET, "<FriendlyName>&x;&lol2;</FriendlyName>");
        let said = refused(text.replacen('\n', &format!("\n{dtd}\n"), 1));
        assert_eq!(said, "line 2, column 1: there is a document type definition: none is read");
    }
    assert!(refused(of(":hotp", SECRET, "<FriendlyName>&x;</FriendlyName>")).contains("no whole XML"));
}

#[test]
fn a_file_that_is_cut_off_anywhere_gives_nothing() {
    let text = figure_6();
    let end = text.trim_end().len();
    for length in 0..end {
        assert!(read_with(&text[..length], &key_6()).is_err(), "{length}");
    }
    let mut noise = text.into_bytes();
    for byte in noise.iter_mut().skip(40).step_by(3) {
        *byte = byte.wrapping_mul(31);
    }
    assert!(plain(noise).is_err());
}

#[test]
fn nothing_that_a_parser_could_choke_on_takes_long() {
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    assert!(refused(&deep).contains("no PSKC file"));
    assert!(refused("<a>".repeat(100_000)).contains("no whole XML"));
    assert!(
        refused(of(":hotp", SECRET, &format!("<Extensions>{deep}</Extensions><Data/>"))).contains("Data")
    );
    assert!(refused("<".repeat(32 << 20)).contains("too many elements"));
    assert!(refused(format!("<a{}/>", " b=''".repeat(1_000_001))).contains("too many elements"));
    let many: String = (0..900).map(|n| format!(" b{n}=''")).collect();
    assert!(
        refused(format!("<x/>\n<a{many}/>")).starts_with("line 2, column 2: there are too many attributes")
    );
    let many: String = (0..20).map(|n| format!("<a xmlns:b{n}='urn:x'/>")).collect();
    assert!(refused(container(&many)).contains("too many namespaces"));
    // A comment may be ruled off with as many as it likes.
    let ruled = format!("<!-- {} -->{}", "=".repeat(1000), package(":hotp", SECRET, ""));
    assert_eq!(plain(container(&ruled)).unwrap().len(), 1);
}

#[test]
fn ten_thousand_tokens_are_read() {
    let package = package(":hotp", &format!("{SECRET}{ZERO}"), DECIMAL);
    let packages: String =
        (0..10_000).map(|n| package.replace("987654321", &format!("{n:09}")) + "\n").collect();
    let tokens = plain(container(&packages)).unwrap();
    assert_eq!((tokens.len(), tokens[9_999].serial.as_str()), (10_000, "000009999"));
}

#[test]
fn a_signature_and_what_describes_a_key_are_passed_over() {
    let rest = "<FriendlyName>x</FriendlyName><UserId>CN=x</UserId><Extensions><y/></Extensions>";
    let signature = "<ds:Signature><ds:SignedInfo/></ds:Signature>";
    let text = container(&format!("{}{signature}", package(":hotp", SECRET, rest)));
    assert_eq!(plain(text).unwrap().len(), 1);
}

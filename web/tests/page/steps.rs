//! A whole enrollment, and what it says on the way.

use crate::{
    bed::{Ask, Bed, Opened},
    fake::{BINDING, CODE, Call, RECOVERY, TOKEN, URI},
};

#[tokio::test]
async fn a_link_a_binding_code_and_a_code_of_the_app_make_an_enrollment() {
    let bed = Bed::new().await;
    let first = bed.send(&Ask::get(&format!("/id/enroll/{TOKEN}?utm_source=mail"))).await;
    assert_eq!((first.status, first.title()), (200, "Set up your second factor - Example Corp"));
    assert!(first.body.contains("<html lang=\"en\">") && first.body.contains("your account on web1"));
    assert!(!first.body.contains(TOKEN), "a saved page is no link");
    let set = &first.headers["set-cookie"];
    assert!(
        set.starts_with("__Host-twinlock=f.") && set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"),
        "{set}"
    );

    let second = bed.send(&Opened::of(&first).binding("ab12 cd34")).await;
    assert_eq!((second.status, second.title()), (200, "Connect your app - Example Corp"));
    assert!(second.headers["set-cookie"].starts_with("__Host-twinlock-session=s."));
    assert!(second.body.contains("GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"));
    assert!(second.body.contains(&format!("href=\"{}\"", URI.replace('&', "&#38;"))), "{}", second.body);
    assert!(second.body.contains("role=\"img\" aria-label=\"QR code"));
    assert!(second.body.contains("Account alice on web1"));
    assert!(!second.body.contains(TOKEN));

    let third = bed.send(&Opened::of(&second).code(CODE)).await;
    assert_eq!((third.status, third.title()), (200, "Your second factor is set up - Example Corp"));
    assert!(RECOVERY.iter().all(|code| third.body.contains(&format!("<li>{code}</li>"))));
    assert!(
        third.headers["set-cookie"].contains("__Host-twinlock-session=; ")
            && third.headers["set-cookie"].contains("Max-Age=0")
    );
    let source = || "127.0.0.1".to_owned();
    let expected = [
        Call::Look { source: source() },
        Call::Prove { typed: "ab12 cd34".to_owned(), source: source() },
        Call::Confirm { typed: CODE.to_owned(), source: source() },
    ];
    assert_eq!(bed.fake.calls(), expected);
}

#[tokio::test]
async fn the_qr_code_is_the_link_that_an_app_reads() {
    let bed = Bed::new().await;
    let (_, second) = bed.prove().await;
    let dark = second.body.split("fill=\"#000\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    let size: usize =
        second.body.split("viewBox=\"0 0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let mut drawn = vec![false; size * size];
    for run in dark.split('z').filter(|run| !run.is_empty()) {
        let numbers: Vec<usize> = run
            .split(|c: char| !c.is_ascii_digit())
            .filter(|n| !n.is_empty())
            .map(|n| n.parse().unwrap())
            .collect();
        drawn[numbers[1] * size + numbers[0]..][..numbers[2]].fill(true);
    }
    let library = qrcode::QrCode::with_error_correction_level(URI, qrcode::EcLevel::M).unwrap();
    let width = library.width();
    assert_eq!(size, width + 8, "a quiet zone of four");
    for (at, color) in library.to_colors().into_iter().enumerate() {
        let place = (at / width + 4) * size + at % width + 4;
        assert_eq!(drawn[place], color == qrcode::Color::Dark, "{at}");
    }
}

#[tokio::test]
async fn a_wrong_code_says_so_and_the_form_stays_good() {
    let bed = Bed::new().await;
    let opened = bed.open().await;
    for tries_left in [4, 3, 2] {
        let reply = bed.send(&opened.binding("XXXX-0000")).await;
        assert_eq!((reply.status, reply.title()), (422, "Wrong binding code - Example Corp"));
        assert!(
            reply.body.contains(&format!("You have {tries_left} tries left."))
                && reply.body.contains("role=\"alert\"")
        );
        assert!(reply.body.contains("aria-describedby=\"hint error\" aria-invalid=\"true\""));
    }
    assert!(bed.send(&opened.binding("XXXX-0000")).await.body.contains("You have one try left."));
    let second = bed.send(&opened.binding(BINDING)).await;
    let proven = Opened::of(&second);
    let wrong = bed.send(&proven.code("000000")).await;
    assert_eq!((wrong.status, wrong.title()), (422, "Wrong code - Example Corp"));
    assert!(wrong.body.contains("GEZD GNBV") && wrong.body.contains("That code was not right."));
    assert!(!wrong.headers.contains_key("set-cookie"), "the session is the same");
    assert_eq!(bed.send(&proven.code(CODE)).await.status, 200);
}

#[tokio::test]
async fn an_empty_field_costs_no_try() {
    let bed = Bed::new().await;
    let opened = bed.open().await;
    let reply = bed.send(&opened.binding(" ")).await;
    assert!(reply.status == 422 && reply.body.contains("Please type the binding code."));
    assert!(bed.fake.calls().iter().all(|call| matches!(call, Call::Look { .. })));
}

#[tokio::test]
async fn the_browser_chooses_the_language_and_else_the_configuration_does() {
    let bed = Bed::with(|settings| settings.language = "es".to_owned()).await;
    let form = format!("/id/enroll/{TOKEN}");
    for (wish, lang, title) in [
        ("de-AT,de;q=0.9,en;q=0.8", "de", "Zweiten Faktor einrichten - Example Corp"),
        ("fr", "fr", "Configurer votre second facteur - Example Corp"),
        ("en-GB", "en", "Set up your second factor - Example Corp"),
        ("ja", "es", "Configure su segundo factor - Example Corp"),
    ] {
        let reply = bed.send(&Ask::get(&form).header("accept-language", wish)).await;
        assert!(reply.body.contains(&format!("<html lang=\"{lang}\">")), "{wish}");
        assert_eq!(reply.title(), title);
    }
    assert!(bed.open_body().await.contains("<html lang=\"es\">"));
}

#[tokio::test]
async fn what_others_named_cannot_be_markup() {
    let bed = Bed::with(|settings| {
        settings.issuer = "<b>\"Evil\" & {host}".to_owned();
        settings.host = "a<script>b".to_owned();
    })
    .await;
    let body = bed.open_body().await;
    assert!(!body.contains("<b>") && !body.contains("<script"), "{body}");
    assert!(
        body.contains("&#60;b&#62;&#34;Evil&#34; &#38; {host}") && body.contains("a&#60;script&#62;b"),
        "{body}"
    );
}

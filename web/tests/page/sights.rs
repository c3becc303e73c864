//! Every page in every language, written to `target/pages` where it can be looked at, and judged as markup.

use std::{fs, path::PathBuf};

use crate::{
    bed::{Ask, Bed, Opened, Reply},
    fake::{BINDING, CODE, TOKEN},
};

/// Every page, by the name of what it shows.
async fn all(bed: &Bed, lang: &str) -> Vec<(&'static str, Reply)> {
    let said = |ask: Ask| ask.header("accept-language", lang);
    let form = bed.send(&said(Ask::get(&format!("/id/enroll/{TOKEN}")))).await;
    let opened = Opened::of(&form);
    let app = bed.send(&said(opened.binding(BINDING))).await;
    let proven = Opened::of(&app);
    bed.fake.set(|state| state.tries_left = 3);
    let form_wrong = bed.send(&said(opened.binding("XXXX-0000"))).await;
    let form_last = bed.send(&said(opened.binding("XXXX-0000"))).await;
    let pages = vec![
        ("form", form),
        ("form-wrong", form_wrong),
        ("form-last", form_last),
        ("form-empty", bed.send(&said(opened.binding(""))).await),
        ("app", app),
        ("app-wrong", bed.send(&said(proven.code("000000"))).await),
        ("done", bed.send(&said(proven.code(CODE))).await),
        ("dead", bed.send(&said(Ask::get("/id/enroll/x"))).await),
        ("refused", bed.send(&said(opened.binding(BINDING).without("cookie"))).await),
        ("not-found", bed.send(&said(Ask::get("/x"))).await),
        ("foreign", bed.send(&said(Ask::get("/").instead("host", "x"))).await),
        ("method", bed.send(&said(Ask::get("/id/confirm"))).await),
    ];
    bed.fake.set(|state| state.broken = true);
    let unavailable = bed.send(&said(Ask::get("/id/enroll/x"))).await;
    bed.fake.set(|state| (state.broken, state.tries_left) = (false, 5));
    pages.into_iter().chain([("unavailable", unavailable)]).collect()
}

/// The text of an attribute, as often as it is there.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    html.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn judge(what: &str, reply: &Reply) {
    let html = &reply.body;
    for once in ["<h1", "<main>", "<title>", "<html lang=\""] {
        assert_eq!(html.matches(once).count(), 1, "{once} in {what}");
    }
    let ids = attributes(html, "id");
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "{what}: {ids:?}");
    for target in attributes(html, "for").into_iter().chain(attributes(html, "aria-describedby")) {
        assert!(target.split(' ').all(|id| ids.contains(&id)), "{what}: {target}");
    }
    let fields = html.matches("<input").count() - html.matches("type=\"hidden\"").count();
    assert_eq!(html.matches("<label").count(), fields, "{what}");
    for open in ["<p", "<section", "<form", "<details", "<ul", "<li", "<svg"] {
        let close = open.replace('<', "</") + ">";
        let opened = html.matches(&format!("{open}>")).count() + html.matches(&format!("{open} ")).count();
        assert_eq!(opened, html.matches(&close).count(), "{open} in {what}: {html}");
    }
    assert!(!html.contains("{{") && !html.contains("{%") && !html.contains("{host}"), "{what}");
}

#[tokio::test]
async fn every_page_is_sound_in_every_language() {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../pages");
    for lang in ["en", "de", "fr", "es"] {
        let bed = Bed::new().await;
        let folder = out.join(lang);
        fs::create_dir_all(&folder).unwrap();
        let style = bed.send(&Ask::get("/id/style.css")).await.body;
        fs::write(folder.join("style.css"), style).unwrap();
        for (name, reply) in all(&bed, lang).await {
            judge(&format!("{name} in {lang}"), &reply);
            assert_eq!(attributes(&reply.body, "lang"), [lang], "{name}");
            let page = reply.body.replace("href=\"/id/", "href=\"").replace("src=\"/id/", "src=\"");
            fs::write(folder.join(format!("{name}.html")), page).unwrap();
        }
    }
}

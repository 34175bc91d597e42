#![allow(clippy::unwrap_used, reason = "a test may panic")]

use witgate_sdk::{
    callout::{Answer, Callout, Failure},
    prelude::*,
    testing,
};

use super::ExternalAuth;

const CONFIG: &str = r#"
pool = "auth"
path = "/check"
except = ["/assets/*"]
tell = ["x-user"]
"#;

fn decided(config: &str, request: &Request) -> Decision {
    let plugin = testing::configure::<ExternalAuth>(config).unwrap();
    testing::wait_for(plugin.route(request))
}

fn with_answer(answer: Result<Answer, Failure>) {
    testing::on_callout(move |_| answer.clone());
}

fn cart() -> Request {
    Request::get("https://shop.example/cart?x=1")
        .header("x-user", "root")
        .header("authorization", "Bearer 7")
        .cookie("a", "1")
        .build()
}

fn removed() -> RequestEdit {
    RequestEdit::remove("x-user")
}

#[test]
fn the_question_says_who_asks_for_what() {
    testing::on_callout(|asked: &Callout| {
        assert_eq!(
            (asked.method(), asked.pool(), asked.path()),
            ("GET", "auth", "/check")
        );
        let fields: Vec<_> = asked
            .headers()
            .iter()
            .map(|field| {
                (
                    field.name.as_str(),
                    String::from_utf8(field.value.clone()).unwrap(),
                )
            })
            .collect();
        let expected = [
            ("x-original-method", "GET"),
            ("x-original-url", "https://shop.example/cart?x=1"),
            ("x-client-ip", "192.0.2.1"),
            ("authorization", "Bearer 7"),
            ("cookie", "a=1"),
        ];
        assert_eq!(
            fields,
            expected.map(|(name, value)| (name, value.to_owned()))
        );
        Ok(Answer::new(204))
    });
    assert_eq!(
        decided(CONFIG, &cart()),
        Decision::pass_with(vec![removed()])
    );
}

#[test]
fn who_passes_is_known_upstream_by_the_service_alone() {
    with_answer(Ok(Answer::new(200).with_header("X-User", "ada")));
    let told = vec![removed(), RequestEdit::append("x-user", "ada")];
    assert_eq!(decided(CONFIG, &cart()), Decision::pass_with(told));
    let asset = Request::get("https://shop.example/assets/a.css").build();
    assert_eq!(
        decided(CONFIG, &asset),
        Decision::pass_with(vec![removed()])
    );
}

#[test]
fn exceptions_are_given_to_plain_paths_alone() {
    with_answer(Ok(Answer::new(403)));
    for path in [
        "/assets/%2e%2e/cart",
        "/assets//cart",
        "/Assets/a.css",
        "/cart",
    ] {
        let request = Request::get(&format!("https://shop.example{path}")).build();
        assert!(
            matches!(decided(CONFIG, &request), Decision::Respond(_)),
            "{path}"
        );
    }
}

#[test]
fn a_refusal_is_the_services_own() {
    let refusal = Answer::new(302)
        .with_header("location", "/login")
        .with_header("x-internal", "1")
        .with_body("log in");
    with_answer(Ok(refusal));
    let expected = Route::respond(302)
        .rule("external-auth")
        .header("location", "/login")
        .body("log in");
    assert_eq!(decided(CONFIG, &cart()), expected.into());
}

#[test]
fn without_an_answer_nobody_passes_unless_told() {
    let none = [
        Err(Failure::Timeout),
        Err(Failure::Unavailable("connect-refused".to_owned())),
        Ok(Answer::new(500)),
        Ok(Answer::new(101)),
    ];
    for answer in none {
        with_answer(answer);
        match decided(CONFIG, &cart()) {
            Decision::Respond(respond) => assert_eq!(respond.status, 503),
            other => panic!("{other:?}"),
        }
        let open = format!("{CONFIG}on_error = \"pass\"");
        assert_eq!(
            decided(&open, &cart()),
            Decision::pass_with(vec![removed()])
        );
    }
}

#[test]
fn a_client_that_spoils_the_question_never_passes() {
    let open = format!("{CONFIG}on_error = \"pass\"");
    for status in [400, 404, 414, 431, 499] {
        with_answer(Ok(Answer::new(status)));
        match decided(&open, &cart()) {
            Decision::Respond(respond) => assert_eq!(respond.status, status),
            other => panic!("{other:?}"),
        }
    }
    for failure in [Failure::Invalid("a field".to_owned()), Failure::TooLarge] {
        with_answer(Err(failure));
        assert!(matches!(decided(&open, &cart()), Decision::Respond(_)));
    }
}

#[test]
fn a_wrong_configuration_names_its_key() {
    for (config, problem) in [
        ("pool = 'auth'", "missing field `path`"),
        ("pool = ''\npath = '/'", "pool: expected a pool's name"),
        (
            "pool = 'a'\npath = 'check'",
            "path: expected a path that begins with",
        ),
        (
            "pool = 'a'\npath = '/'\nexcept = ['x']",
            "except[0]: expected a path such as",
        ),
        (
            "pool = 'a'\npath = '/'\ntell = ['a b']",
            "tell[0]: expected a field's name",
        ),
        (
            "pool = 'a'\npath = '/'\nask_with = ['TE']",
            "ask_with[0]: expected a field's name",
        ),
    ] {
        let refusal = testing::configure::<ExternalAuth>(config).err().unwrap();
        assert!(refusal.to_string().starts_with(problem), "{refusal}");
    }
}

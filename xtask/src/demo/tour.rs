//! What there is to see: curl lines with what they show. Printed by the demo, and walked by
//! its check.

/// One thing to see.
pub(super) struct Stop {
    /// What it shows.
    pub(super) title: &'static str,
    /// What goes behind `curl -K examples/quickstart/curlrc`.
    pub(super) curl: &'static [&'static str],
    /// What must come back.
    pub(super) expect: Expect,
}

/// What an answer must be like.
pub(super) struct Expect {
    pub(super) status: u16,
    /// The pool in the access log; none when no pool was asked.
    pub(super) pool: Option<&'static str>,
    /// The upstream that must have answered.
    pub(super) upstream: Option<&'static str>,
    /// Parts of head or body.
    pub(super) has: &'static [&'static str],
    /// What must not be in head or body.
    pub(super) lacks: &'static [&'static str],
}

const PLAIN: Expect = Expect {
    status: 200,
    pool: None,
    upstream: None,
    has: &[],
    lacks: &[],
};

/// Through the gateway; each over HTTP/1.1 and HTTP/2.
pub(super) const STOPS: [Stop; 7] = [
    Stop {
        title: "A route by path: /api/ goes to the pool `api`, which is web-2 alone.",
        curl: &["https://shop.example/api/orders?page=2"],
        expect: Expect {
            pool: Some("api"),
            upstream: Some("web-2"),
            has: &["/api/orders?page=2"],
            ..PLAIN
        },
    },
    Stop {
        title: "A route by site: any name below shop.example goes to `tenants`, web-1 alone.",
        curl: &["https://anna.shop.example/"],
        expect: Expect {
            pool: Some("tenants"),
            upstream: Some("web-1"),
            ..PLAIN
        },
    },
    Stop {
        title: "Anything else: the listener's default pool, web-1 and web-2 in turn.",
        curl: &["https://shop.example/"],
        expect: Expect {
            pool: Some("web"),
            ..PLAIN
        },
    },
    Stop {
        title: "A redirect: the path-router answers by itself, no pool is asked.",
        curl: &["-i", "https://shop.example/old/stuff"],
        expect: Expect {
            status: 308,
            has: &["location: https://shop.example/new/"],
            ..PLAIN
        },
    },
    Stop {
        title: "Forwarded headers as the upstream saw them; what the client claims is replaced.",
        curl: &[
            "-H",
            "X-Forwarded-For: 192.0.2.66",
            "https://shop.example/whoami",
        ],
        expect: Expect {
            pool: Some("web"),
            has: &[
                r#"["x-forwarded-for","127.0.0.1"]"#,
                r#"["x-forwarded-proto","https"]"#,
                r#"["x-original-host","shop.example"]"#,
            ],
            lacks: &["192.0.2.66"],
            ..PLAIN
        },
    },
    Stop {
        title: "Rewritten headers: x-client for the upstream, x-served-by for the client.",
        curl: &["-i", "https://shop.example/"],
        expect: Expect {
            pool: Some("web"),
            has: &[r#"["x-client","curl "#, "x-served-by: witgate"],
            ..PLAIN
        },
    },
    Stop {
        title: "The impostor: its certificate is on no list, so a 502 that says which it was.",
        curl: &["-i", "https://shop.example/impostor"],
        expect: Expect {
            status: 502,
            pool: Some("impostor"),
            has: &[
                "proxy-status: witgate",
                "certificate-not-allow-listed",
                "sha256:",
            ],
            ..PLAIN
        },
    },
];

/// The demo's cookie file, from the top of the repository.
pub(super) const COOKIES: &str = "examples/quickstart/cookies.txt";

/// The plain admin listener: pages and what must be on them.
pub(super) const ADMIN: [(&str, &str); 3] = [
    ("http://127.0.0.1:9901/healthz", ""),
    ("http://127.0.0.1:9901/readyz", ""),
    ("http://127.0.0.1:9901/metrics", "# TYPE witgate_"),
];

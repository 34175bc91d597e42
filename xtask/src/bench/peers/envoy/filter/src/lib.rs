//! A filter for Envoy, in proxy-wasm, that does less than Witgate's three roles: it reads the path,
//! names the cluster and sets one more field. There is no affinity.

use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};

struct Router;

impl Context for Router {}

impl HttpContext for Router {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        let cluster = match path.starts_with("/elsewhere/") {
            true => "elsewhere",
            false => "web",
        };
        self.set_http_request_header("x-cluster", Some(cluster));
        self.set_http_request_header("x-forwarded-host", Some("localhost"));
        Action::Continue
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_http_context(|_, _| Box::new(Router));
}}

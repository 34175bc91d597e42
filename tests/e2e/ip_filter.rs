//! The reference plugin `ip-filter`: who is let in, and who is not.

use witgate_tests::{
    eventually,
    gateway::{Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
    wasm::reference,
};

const URL: &str = "https://shop.example/";

over_h1_and_h2! {
    async fn a_client_is_kept_out_as_soon_as_the_rules_say_so(http) {
        let upstream = Upstream::pinned("web-1").await;
        let open = "[config]\notherwise = \"deny\"\nrules = [{ allow = [\"127.0.0.0/8\"] }]";
        let gateway = Setup::new()
            .default_pool("web", Pool::pinned(&[&upstream]))
            .plugin("01-ip-filter", &reference("ip-filter"))
            .sidecar("01-ip-filter", open)
            .start()
            .await;
        let client = gateway.client(http);
        assert_eq!(client.get(URL).await.echo().upstream, "web-1");
        let closed = open.replace("allow", "deny").replace("\"deny\"\n", "\"allow\"\n");
        gateway.setup().put_sidecar("01-ip-filter", &closed);
        eventually!("a refusal", (client.get(URL).await.status == 403).then_some(()));
        let line = gateway.access_line_where(|line| line["status"] == 403).await;
        assert_eq!(line["rule"], "ip-filter");
    }
}

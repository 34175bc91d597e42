//! Tokens and keys of the RFCs.

use std::time::Duration;

use witgate_sdk::testing;

use super::{assert_invalid, assert_passes, plugin};

/// `{"iss":"joe", "exp":1300819380, "http://example.com/is_root":true}`.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const EXPIRES: u64 = 1_300_819_380;

/// Good until the second in which it expires.
#[track_caller]
fn assert_good(jwk: &str, header: &str, signature: &str) {
    let config = format!(
        "issuers = [\"joe\"]\n[required]\n\"http://example.com/is_root\" = true\n[[keys]]\njwks = '{{\"keys\": [{jwk}]}}'"
    );
    let plugin = plugin(&config);
    let token = format!("{header}.{CLAIMS}.{signature}");
    testing::set_time(Duration::from_secs(EXPIRES - 1));
    assert_passes(&plugin, &token);
    testing::set_time(Duration::from_secs(EXPIRES));
    assert_invalid(&plugin, &token, "has expired");
}

/// RFC 7515 §A.1.
#[test]
fn hs256() {
    let jwk = r#"{"kty": "oct", "alg": "HS256", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_good(jwk, "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", signature);
}

/// RFC 7515 §A.2.
#[test]
fn rs256() {
    let jwk = concat!(
        r#"{"kty": "RSA", "alg": "RS256", "e": "AQAB", "n": ""#,
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Ql",
        "L-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs",
        "LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoud",
        r#"F8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
    );
    let signature = concat!(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujG",
        "bds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K",
        "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6",
        "LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    );
    assert_good(jwk, "eyJhbGciOiJSUzI1NiJ9", signature);
}

/// RFC 7515 §A.3.
#[test]
fn es256() {
    let jwk = r#"{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    let signature =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert_good(jwk, "eyJhbGciOiJFUzI1NiJ9", signature);
}

/// RFC 8037 §A.4, whose payload is a text and no claims: it gets as far as those, and no further
/// once a bit of the signature is another.
#[test]
fn ed25519() {
    let plugin = plugin(
        "[[keys]]\njwks = '{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}'",
    );
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_invalid(
        &plugin,
        &format!("{signed}.{signature}"),
        "claims are malformed",
    );
    let other = signature.replace("hgyY", "hgyZ");
    assert_invalid(
        &plugin,
        &format!("{signed}.{other}"),
        "signature is not good",
    );
}

/// RFC 7515 §A.5.
#[test]
fn unsecured() {
    let plugin = plugin("[[keys]]\nsecret = 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr8='");
    assert_invalid(
        &plugin,
        &format!("eyJhbGciOiJub25lIn0.{CLAIMS}."),
        "alg is not accepted",
    );
}

/// RFC 7515 §E: an extension that has to be understood.
#[test]
fn critical() {
    let plugin = plugin("[[keys]]\nsecret = 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr8='");
    let token = "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA.";
    assert_invalid(&plugin, token, "extension");
}

//! Which signatures are good, and which keys are asked about them.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest as _, Sha256};
use witgate_sdk::testing;

use super::{
    assert_invalid, assert_passes, bearing, claims, plugin, refused,
    signer::{Signer, encode},
    trusting,
};

#[test]
fn each_algorithm_takes_its_own_signatures_only() {
    for signer in Signer::all() {
        let plugin = trusting(&signer, "");
        let token = signer.token(&claims(""));
        assert_passes(&plugin, &token);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut other = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        other[20] ^= 1;
        let flipped = format!("{signed}.{}", encode(&other));
        assert_invalid(&plugin, &flipped, "signature is not good");
        let shorter = encode(&other[..other.len() - 1]);
        for shorter in ["", &shorter] {
            let token = format!("{signed}.{shorter}");
            assert_invalid(&plugin, &token, "signature is not good");
        }
        let header = token.split_once('.').unwrap().0;
        let forged = encode(claims("").replace("ada", "eve"));
        assert_invalid(
            &plugin,
            &format!("{header}.{forged}.{signature}"),
            "signature is not good",
        );
    }
}

#[test]
fn another_key_of_the_same_kind_does_not_do() {
    for (ours, theirs) in [
        (Signer::p256(), Signer::p256()),
        (Signer::ed25519(), Signer::ed25519()),
        (Signer::secret(), Signer::secret()),
    ] {
        assert_invalid(
            &trusting(&ours, ""),
            &theirs.token(&claims("")),
            "signature is not good",
        );
    }
}

#[test]
fn a_key_is_bound_to_its_algorithm() {
    let (pkcs1, pss) = (Signer::rsa("RS256"), Signer::rsa("PS256"));
    assert_invalid(
        &trusting(&pkcs1, ""),
        &pss.token(&claims("")),
        "no key is known",
    );
    assert_invalid(
        &trusting(&pss, ""),
        &pkcs1.token(&claims("")),
        "no key is known",
    );
    let header = r#"{"alg": "RS256", "kid": "k1"}"#;
    let mislabelled = pss.token_of(header, &claims(""));
    assert_invalid(&trusting(&pkcs1, ""), &mislabelled, "signature is not good");
}

#[test]
fn a_public_key_is_no_secret() {
    let rsa = Signer::rsa("RS256");
    let pem = rsa.pem();
    for secret in [pem.clone(), pem.trim().to_owned(), rsa.jwk("")] {
        let forger = Signer::Secret(secret.into_bytes());
        let forged = forger.token(&claims(""));
        assert_invalid(&trusting(&rsa, ""), &forged, "no key is known");
        let secret = Signer::secret().jwk(r#""kid": "k1","#);
        let both = format!(
            "[[keys]]\njwks = '{{\"keys\": [{}, {secret}]}}'",
            rsa.jwk(r#""kid": "k1","#)
        );
        assert_invalid(&plugin(&both), &forged, "signature is not good");
    }
}

#[test]
fn none_is_no_algorithm() {
    let signer = Signer::p256();
    for alg in ["none", "None", "NONE", "", "HS384", "RS1", "es256"] {
        let header = format!(r#"{{"alg": "{alg}", "kid": "k1"}}"#);
        assert_invalid(
            &trusting(&signer, ""),
            &signer.token_of(&header, &claims("")),
            "alg is not accepted",
        );
        let unsigned = format!("{}.{}.", encode(&header), encode(claims("")));
        assert_invalid(&trusting(&signer, ""), &unsigned, "alg is not accepted");
    }
}

#[test]
fn an_unknown_kid_is_refused_and_logged() {
    let signer = Signer::ed25519();
    let header = r#"{"alg": "EdDSA", "kid": "k2"}"#;
    let token = signer.token_of(header, &claims(""));
    assert_invalid(&trusting(&signer, ""), &token, "no key is known");
    assert_eq!(testing::access_field("kid").as_deref(), Some("k2"));
}

#[test]
fn both_names_of_ed25519_are_one() {
    let signer = Signer::ed25519();
    let header = r#"{"alg": "Ed25519", "kid": "k1"}"#;
    assert_passes(
        &trusting(&signer, ""),
        &signer.token_of(header, &claims("")),
    );
}

#[test]
fn a_token_without_kid_is_tried_with_a_few_keys() {
    let signers: Vec<_> = (0..5).map(|_| Signer::ed25519()).collect();
    let jwks = signers.iter().enumerate();
    let jwks: Vec<_> = jwks
        .map(|(i, signer)| signer.jwk(&format!(r#""kid": "{i}","#)))
        .collect();
    let plugin = plugin(&format!(
        "[[keys]]\njwks = '{{\"keys\": [{}]}}'",
        jwks.join(",")
    ));
    for (index, signer) in signers.iter().enumerate() {
        let token = signer.token_of(r#"{"alg": "EdDSA"}"#, &claims(""));
        match index {
            0..4 => assert_passes(&plugin, &token),
            _ => assert_invalid(&plugin, &token, "signature is not good"),
        }
        let header = format!(r#"{{"alg": "EdDSA", "kid": "{index}"}}"#);
        assert_passes(&plugin, &signer.token_of(&header, &claims("")));
    }
}

#[test]
fn keys_in_pem_and_secrets_in_base64_are_the_same_keys() {
    for signer in Signer::all() {
        let (alg, token) = (signer.alg(), signer.token(&claims("")));
        let key = match &signer {
            Signer::Secret(secret) => format!("secret = '{}'", BASE64_STANDARD.encode(secret)),
            _ => format!("pem = '''\n{}'''", signer.pem()),
        };
        assert_passes(&plugin(&format!("[[keys]]\nalg = '{alg}'\n{key}")), &token);
        let with_kid = plugin(&format!("[[keys]]\nkid = 'k1'\nalg = '{alg}'\n{key}"));
        assert_passes(&with_kid, &token);
        let other = plugin(&format!("[[keys]]\nkid = 'k2'\nalg = '{alg}'\n{key}"));
        assert_invalid(&other, &token, "no key is known");
    }
}

#[test]
fn a_token_that_was_good_is_known_until_it_expires() {
    let signer = Signer::secret();
    let plugin = trusting(&signer, "headers = { x-user = 'sub' }");
    let token = signer.token(&claims(""));
    for _ in 0..3 {
        assert_passes(&plugin, &token);
    }
    assert!(plugin.0.known.get(&Sha256::digest(&token).into()).is_some());
    // One that differs in a bit is another token, whatever is known.
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    assert_invalid(
        &plugin,
        &format!("{signed}.{first}{}", &signature[1..]),
        "signature is not good",
    );
    testing::advance(std::time::Duration::from_secs(3600));
    assert!(refused(&plugin, &bearing(&token)).is_some());
    assert_invalid(&plugin, &token, "has expired");
}

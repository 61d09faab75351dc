//! The certificates of a CA bundle, and nothing else of its file: proxies that look into TLS keep their private key beside them,
//! and a variable can name any file of the user's. Pure.

/// The largest bundle that is read. Those of distributions have about 250 kB.
pub(super) const MOST_BYTES: u64 = 8 << 20;

/// What stands in the head of a certificate, of which `openssl` knows three forms.
const KINDS: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

/// The blocks that are certificates, each as it is written there, without what stands between them.
///
/// # Errors
/// There is none, or the file is too large.
pub(super) fn of(bytes: &[u8]) -> Result<String, &'static str> {
    if bytes.len() as u64 > MOST_BYTES {
        return Err("it is larger than 8 MiB");
    }
    let (mut found, mut block) = (String::new(), None::<(&str, String)>);
    for line in String::from_utf8_lossy(bytes).lines() {
        let line = line.trim_end();
        let between = |start: &str| line.strip_prefix(start)?.strip_suffix("-----");
        if let Some(kind) = between("-----BEGIN ") {
            block = KINDS.iter().find(|known| **known == kind).map(|kind| (*kind, String::new()));
        } else if let Some(kind) = between("-----END ") {
            if let Some((begun, body)) = block.take().filter(|(begun, body)| *begun == kind && is_certificate(body)) {
                found += &format!("-----BEGIN {begun}-----\n{body}-----END {begun}-----\n");
            }
        } else if let Some((_, body)) = &mut block {
            *body += line;
            body.push('\n');
        }
    }
    if found.is_empty() { Err("it holds no certificate in PEM form") } else { Ok(found) }
}

/// Whether a text is base64, and begins as a sequence of DER does. A key without a head of its own is no such thing, nor a token.
fn is_certificate(body: &str) -> bool {
    // One comparison without a call: this runs for each byte of the bundle at each entry, in a build without optimization.
    let is_part = |b: u8| matches!(b, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'=' | b'\n');
    body.starts_with("MI") && body.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_certificates_goes_in() {
        let one = "-----BEGIN CERTIFICATE-----\nMIIBszCC\nAVmgAwIB\n-----END CERTIFICATE-----\n";
        let trusted = one.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEsecret\n-----END PRIVATE KEY-----\n";
        let bundle =
            format!("# Mine.\n{key}{}\n{trusted}{key}subject=x\n{one}token-secret\n", one.replace('\n', "\r\n"));
        assert_eq!(of(bundle.as_bytes()).unwrap(), format!("{one}{trusted}{one}"));
        for none in [
            "",
            key,
            "{\"tokens\": {\"refresh_token\": \"secret\"}}",
            "-----BEGIN CERTIFICATE-----\nMII\n",
            "-----BEGIN CERTIFICATE-----\nMII\n-----BEGIN PRIVATE KEY-----\nMII\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nMII refresh-secret\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n",
        ] {
            assert_eq!(of(none.as_bytes()), Err("it holds no certificate in PEM form"), "{none}");
        }
        assert!(of(&vec![b'x'; MOST_BYTES as usize + 1]).unwrap_err().contains("8 MiB"));
    }
}

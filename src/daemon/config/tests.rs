use std::io::Write;

use super::*;

fn flags(pairs: &[(&'static str, &str)]) -> BTreeMap<&'static str, String> {
    pairs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn layers(
    given: &[(&'static str, &str)],
    variables: &[(&str, &str)],
    text: &str,
) -> Result<Layers, ConfigError> {
    let file = file(text);
    let variable = |name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    Layers::new(&flags(given), variable, Some(file.path()))
}

/// What is wrong with settings that have all they need but these.
fn refusal(given: &[(&'static str, &str)]) -> String {
    let mut all = vec![("id", "1"), ("data", "d"), ("insecure", "true")];
    all.retain(|(key, _)| given.iter().all(|(other, _)| other != key));
    all.extend(given);
    layers(&all, &[], "").unwrap().settings().unwrap_err().to_string()
}

#[test]
fn a_flag_goes_over_a_variable_over_the_file_over_the_default() {
    let text = "id = 1\ndata = 'file'\nheartbeat = '40ms'\nhttp = 'file:1'\ninsecure = true";
    let variables = [("JANGADA_DATA", "variable"), ("JANGADA_HTTP", "variable:1")];
    let layers = layers(&[("http", "flag:1")], &variables, text).unwrap();
    let settings = layers.settings().unwrap();
    assert_eq!(settings.http, "flag:1");
    assert_eq!(settings.data, Path::new("variable"));
    assert_eq!(settings.timing.heartbeat, Duration::from_millis(40));
    assert_eq!(settings.listen, "127.0.0.1:4001");
    let shown = layers.to_string();
    for line in ["http = \"flag:1\"  # --http", "data = \"variable\"  # JANGADA_DATA"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(shown.contains("election-timeout = \"300ms..600ms\"  # default"), "{shown}");
    assert!(shown.contains("# tokens is not set"), "{shown}");
}

#[test]
fn certificates_are_a_directory_or_files_or_both() {
    let given = [("id", "3"), ("data", "d"), ("tls", "certs"), ("tls-key", "secret.key")];
    let tls = layers(&given, &[], "").unwrap().settings().unwrap().tls.unwrap();
    assert_eq!(tls.authority, Path::new("certs/ca.pem"));
    let own = OwnFiles { certificate: "certs/server3.pem".into(), key: "secret.key".into() };
    assert_eq!(tls.own, Some(own));
}

/// What is shown is a file that says the same.
#[test]
fn what_is_shown_can_be_read_again() {
    let given = [("id", "3"), ("data", "a \"b\" \\ c"), ("insecure", "true"), ("peers", "1=a:1")];
    let first = layers(&given, &[], "").unwrap();
    let again = layers(&[], &[], &first.to_string()).unwrap();
    assert_eq!(again.settings().unwrap(), first.settings().unwrap());
}

#[test]
fn peers_are_a_text_a_list_or_a_table() {
    let wanted: PeerAddresses = "1=a:1,2=[::1]:2".parse().unwrap();
    for text in [
        "peers = '1=a:1,2=[::1]:2'",
        "peers = ['1=a:1', '2=[::1]:2']",
        "[peers]\n1 = 'a:1'\n2 = '[::1]:2'",
    ] {
        let given = [("id", "1"), ("data", "d"), ("insecure", "true")];
        let settings = layers(&given, &[], text).unwrap().settings().unwrap();
        assert_eq!(settings.peers, wanted, "{text}");
    }
    assert_eq!(wanted.to_string(), "1=a:1,2=[::1]:2");
}

#[test]
fn errors_name_the_key_and_where_its_value_came_from() {
    assert_eq!(
        refusal(&[("id", "none")]),
        "`id` = `none` (--id): a server's number is wanted, from 1 to 99"
    );
    assert!(refusal(&[("peers", "1=a:1,1=b:2")]).ends_with("S1 is named twice"));
    assert!(refusal(&[("peers", "1=a")]).contains("HOST:PORT is wanted"));
    assert!(refusal(&[("heartbeat", "200ms")]).contains("at most half"));
    assert!(refusal(&[("heartbeat", "0ms")]).contains("(0ms, --heartbeat)"));
    assert!(refusal(&[("election-timeout", "2s..1s")]).contains("a range is wanted"));
    assert!(refusal(&[("snapshot-bytes", "99999999999999GiB")]).contains("a size is wanted"));
    assert!(refusal(&[("shutdown-timeout", "99999m")]).contains("longer than a day"));
    assert!(refusal(&[("insecure", "false")]).contains("no certificates"));
    assert!(refusal(&[("tls-ca", "x")]).contains("`insecure`"));
    assert!(refusal(&[("tls-ca", "x"), ("insecure", "false")]).contains("given together"));
    assert!(refusal(&[("listen", "::1:5")]).contains("[::1]:4001"));
    let missing = layers(&[], &[], "").unwrap().settings().unwrap_err().to_string();
    assert_eq!(missing, "`id` is not set: give --id, JANGADA_ID, or `id` in the file");
}

#[test]
fn a_file_with_a_key_that_is_none_is_refused() {
    let unknown = layers(&[], &[], "hearbeat = '1ms'").unwrap_err().to_string();
    assert!(unknown.ends_with("there is no setting `hearbeat`; is `heartbeat` meant?"));
    let syntax = layers(&[], &[], "id = ").unwrap_err().to_string();
    assert!(syntax.contains("TOML parse error at line 1"), "{syntax}");
    assert!(layers(&[], &[], "id = 1.5").unwrap_err().to_string().contains("`id` is neither"));
    let path = Path::new("no/such/file.toml");
    let gone = Layers::new(&BTreeMap::new(), |_| None, Some(path)).unwrap_err().to_string();
    assert!(gone.starts_with("cannot read the configuration no/such/file.toml"));
}

//! A form that is not saved yet shows placeholders in place of secrets.

use std::collections::BTreeMap;

use super::{NAMES, Reader};
use crate::email_settings::PLACEHOLDER;

/// What decides where a secret goes: it is not told to another than it was typed for.
const PASSWORD: (&[&str], &[&str]) = (&["Password"], &["Host", "Port", "Username"]);
const OAUTH: (&[&str], &[&str]) =
    (&["ClientSecret", "RefreshToken"], &["Host", "Port", "Username", "TokenURL", "ClientID"]);

/// Puts the saved secret where the form has its placeholder or nothing at all.
pub(super) fn fill_in(reader: &mut Reader, saved: &BTreeMap<String, String>) {
    for (_, prefix) in NAMES {
        for (secrets, bound_to) in [PASSWORD, OAUTH] {
            let value = |settings: &BTreeMap<String, String>, key: &str| {
                settings.get(&format!("{prefix}{key}")).map(|text| text.trim().to_owned()).unwrap_or_default()
            };
            let same = bound_to.iter().all(|key| value(&reader.settings, key) == value(saved, key));
            for secret in secrets {
                let field = format!("{prefix}{secret}");
                if reader.settings.get(&field).is_some_and(|text| text != PLACEHOLDER) {
                    continue;
                }
                let before = saved.get(&field).filter(|text| !text.is_empty());
                if same {
                    reader.settings.insert(field, before.cloned().unwrap_or_default());
                    continue;
                }
                let hidden = reader.settings.remove(&field).is_some();
                reader.missing.retain(|missing| missing.field != field);
                if hidden || before.is_some() {
                    reader.problem(field.clone(), format!("the saved {field} is used only for the server and user that it was saved for; type it again"));
                }
            }
        }
    }
}

//! `compat doctor`: the isolation level of a machine.

use compat_matrix::isolation::IsolationLevel;

use crate::support::files::Folder;

#[test]
fn doctor_names_each_layer_and_what_is_missing() {
    let folder = Folder::new();
    let ran = folder.compat(&["doctor"]);
    ran.exits(0);
    ran.out_has("isolation level: ", 1);
    for layer in ["process", "landlock", "namespaces"] {
        ran.out_has(&format!("\n  {layer} "), 1);
    }
    let json = folder.compat(&["doctor", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let level: IsolationLevel = value["level"].as_str().unwrap().parse().unwrap();
    for required in IsolationLevel::ALL {
        let ran = folder.compat(&["doctor", "--require", required.as_str()]);
        ran.exits(i32::from(required > level));
    }
    let ran = folder.compat(&["doctor", "--require", "strong"]);
    ran.exits(2);
    ran.err_has("`strong` is no isolation level: expected none, process, landlock or full");
}

//! The README is held to what the code does.

use std::{fs, path::Path};

use searchgate::config::{Config, Environment};

#[test]
fn its_configurations_are_good_but_for_files_that_are_not_here() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks: Vec<&str> =
        readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert_eq!(blocks.len(), 5);
    assert!(blocks.iter().any(|block| block.contains("shape: broker")));
    let folder = tempfile::tempdir().unwrap();
    for block in blocks {
        let file = folder.path().join("readme.yml");
        fs::write(&file, block).unwrap();
        let problems = Config::load(&[file], &Environment::default()).err().map_or(Vec::new(), |problems| problems.0);
        for problem in problems {
            let text = problem.to_string();
            assert!(text.contains("cannot read") || text.contains("cannot be read"), "{block}\n{text}");
        }
    }
}

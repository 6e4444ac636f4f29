//! Writes a file whole or not at all: to a temporary file beside it, then by renaming.
//!
//! Never leaves half a file, whatever ends the process.

use std::io::{self, Write as _};
use std::path::Path;

/// Writes `text` to `path`, making its folder if there is none.
///
/// # Errors
/// That of the file system; the old file is then as it was.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut file = builder().tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Readable by all as the umask allows, as any other file: temporary files are the user's alone by default.
fn builder() -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt as _;

    let mut builder = tempfile::Builder::new();
    builder.permissions(std::fs::Permissions::from_mode(0o666));
    builder
}

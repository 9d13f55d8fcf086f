//! The files that the page is made with. All are part of the program: nothing is loaded from elsewhere.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};

/// A file of the page.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: [Asset; 6] = [
    Asset { name: "htmx.min.js", kind: SCRIPT, bytes: include_bytes!("assets/htmx.min.js") },
    Asset { name: "htmx-ext-ws.min.js", kind: SCRIPT, bytes: include_bytes!("assets/htmx-ext-ws.min.js") },
    Asset { name: "page.js", kind: SCRIPT, bytes: include_bytes!("assets/page.js") },
    Asset { name: "door.js", kind: SCRIPT, bytes: include_bytes!("assets/door.js") },
    Asset { name: "page.css", kind: "text/css; charset=utf-8", bytes: include_bytes!("assets/page.css") },
    Asset { name: "icon.svg", kind: "image/svg+xml", bytes: include_bytes!("assets/icon.svg") },
];

/// Changes with the files, so that a browser keeps them for ever and yet has the right ones.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = blake3::Hasher::new();
    for asset in &ASSETS {
        hasher.update(asset.bytes);
    }
    hasher.finalize().to_hex().chars().take(12).collect()
});

/// Where a file is served.
pub(super) fn asset(name: &str) -> String {
    format!("/assets/{}/{name}", *VERSION)
}

/// Serves a file.
pub(super) async fn serve(path: web::Path<(String, String)>) -> HttpResponse {
    let (_, name) = path.into_inner();
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, asset.kind))
            .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
            .body(asset.bytes),
        None => HttpResponse::NotFound().finish(),
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn vendored_files_are_those_that_were_taken() {
        let said = include_str!("assets/VENDORED.md");
        for name in ["htmx.min.js", "htmx-ext-ws.min.js"] {
            let asset = ASSETS.iter().find(|asset| asset.name == name).unwrap();
            let sum = hex::encode(Sha256::digest(asset.bytes));
            let row = said.lines().find(|line| line.starts_with(&format!("| `{name}`"))).unwrap();
            assert!(row.contains(&sum), "{name} has {sum}");
        }
    }

    #[test]
    fn all_of_it_is_light() {
        let weight = ASSETS.iter().map(|asset| asset.bytes.len()).sum::<usize>();
        assert!(weight < 120 * 1024, "{weight}");
    }
}

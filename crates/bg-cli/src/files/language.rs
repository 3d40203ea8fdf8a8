//! Which language a file is written in, by its name alone.

use std::path::Path;

/// A longer extension is not one that a reader would know.
const EXTENSION_MAX: usize = 16;

/// The language, `other (.ext)`, `other` or `no extension`.
pub(super) fn language_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let extension = Path::new(&name).extension().and_then(|extension| extension.to_str());
    let known = by_name(&name).or_else(|| extension.and_then(by_extension));
    match (known, extension) {
        (None | Some("Markdown" | "Text"), _) if is_license(&name) => "License".to_owned(),
        (Some(language), _) => language.to_owned(),
        (None, Some(extension)) if is_plain(extension) => format!("other (.{extension})"),
        (None, Some(_)) => "other".to_owned(),
        (None, None) => "no extension".to_owned(),
    }
}

fn is_license(name: &str) -> bool {
    ["license", "licence", "copying", "unlicense"].iter().any(|start| name.starts_with(start))
}

fn is_plain(extension: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+".contains(&byte);
    (1..=EXTENSION_MAX).contains(&extension.len()) && extension.bytes().all(plain)
}

fn by_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "makefile" | "gnumakefile" => "Makefile",
        "dockerfile" | "containerfile" => "Dockerfile",
        "cmakelists.txt" => "CMake",
        "justfile" => "Just",
        "gemfile" | "rakefile" => "Ruby",
        "cargo.lock" | "poetry.lock" | "uv.lock" => "TOML",
        "package-lock.json" | "flake.lock" => "JSON",
        ".bashrc" | ".bash_profile" | ".profile" | ".zshrc" => "Shell",
        ".gitignore" | ".gitattributes" | ".gitmodules" | ".mailmap" => "Git",
        ".editorconfig" => "INI",
        _ => return None,
    })
}

fn by_extension(extension: &str) -> Option<&'static str> {
    by_code_extension(extension).or_else(|| by_data_extension(extension))
}

fn by_code_extension(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "rs" => "Rust",
        "py" | "pyi" => "Python",
        "js" | "mjs" | "cjs" | "jsx" => "JavaScript",
        "ts" | "mts" | "cts" | "tsx" => "TypeScript",
        "go" => "Go",
        "c" => "C",
        "h" => "C header",
        "cc" | "cpp" | "cxx" | "hh" | "hpp" | "hxx" => "C++",
        "cs" => "C#",
        "java" => "Java",
        "kt" | "kts" => "Kotlin",
        "swift" => "Swift",
        "m" | "mm" => "Objective-C",
        "rb" => "Ruby",
        "php" => "PHP",
        "pl" | "pm" => "Perl",
        "lua" => "Lua",
        "sh" | "bash" | "zsh" | "fish" => "Shell",
        "ps1" | "psm1" => "PowerShell",
        "bat" | "cmd" => "Batch",
        "scala" | "sbt" => "Scala",
        "clj" | "cljs" | "edn" => "Clojure",
        "ex" | "exs" => "Elixir",
        "erl" | "hrl" => "Erlang",
        "hs" => "Haskell",
        "ml" | "mli" => "OCaml",
        "fs" | "fsi" | "fsx" => "F#",
        "r" => "R",
        "jl" => "Julia",
        "dart" => "Dart",
        "zig" => "Zig",
        "nim" => "Nim",
        "v" | "sv" => "Verilog",
        "s" | "asm" => "Assembly",
        "el" | "lisp" | "scm" => "Lisp",
        "vim" => "Vim script",
        "sql" => "SQL",
        "sol" => "Solidity",
        "wat" => "WebAssembly",
        "vue" => "Vue",
        "svelte" => "Svelte",
        _ => return None,
    })
}

fn by_data_extension(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "toml" => "TOML",
        "md" | "markdown" | "mdx" => "Markdown",
        "yaml" | "yml" => "YAML",
        "json" | "jsonc" | "json5" | "jsonl" | "ndjson" => "JSON",
        "txt" => "Text",
        "rst" => "reStructuredText",
        "adoc" => "AsciiDoc",
        "tex" | "bib" => "TeX",
        "html" | "htm" => "HTML",
        "css" | "scss" | "sass" | "less" => "CSS",
        "xml" | "xsd" | "xsl" => "XML",
        "svg" => "SVG",
        "csv" | "tsv" => "CSV",
        "ini" | "cfg" | "conf" => "INI",
        "proto" => "Protocol Buffers",
        "graphql" | "gql" => "GraphQL",
        "tf" | "tfvars" | "hcl" => "HCL",
        "nix" => "Nix",
        "cmake" => "CMake",
        "mk" => "Makefile",
        "gradle" | "groovy" => "Groovy",
        "dockerfile" => "Dockerfile",
        "just" => "Just",
        "ipynb" => "Jupyter notebook",
        "diff" | "patch" => "Diff",
        "snap" => "Snapshot",
        "j2" | "jinja" | "hbs" | "tera" => "Template",
        _ => return None,
    })
}

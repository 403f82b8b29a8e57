"""Libraries for examples and integrations only: Debian's package if installed, else an upstream release.

    load("@trestle//third_party:libraries.bzl", "trestle_integration_dependencies")

    trestle_integration_dependencies()

Bazel fetches a library only when it builds a target that needs it. A repository that the workspace has declared
before takes precedence. ./bazelw installs the Debian packages (libraries.txt).
"""

_BUILD = """\
load("@rules_cc//cc:defs.bzl", "cc_library")

cc_library(
    name = "{name}",
    srcs = glob(["src/**"]),
    hdrs = glob(["include/**"]),
    copts = {copts},
    includes = ["include"],
    linkopts = {linkopts},
    visibility = ["//visibility:public"],
)
"""

def _debian_library_impl(ctx):
    headers = [ctx.path(ctx.attr.headers_folder + "/" + name) for name in ctx.attr.headers]
    if all([header.exists for header in headers]):
        for source in ctx.attr.sources:
            ctx.symlink(source, "src/" + source.split("/")[-1])
        for header, name in zip(headers, ctx.attr.headers):
            ctx.symlink(header, "include/" + name)
    elif ctx.attr.upstream_url:
        ctx.download_and_extract(
            url = ctx.attr.upstream_url,
            sha256 = ctx.attr.upstream_sha256,
            stripPrefix = ctx.attr.upstream_prefix,
        )
    else:
        fail("{0} is missing. Run this, then try again:\n  sudo apt-get update && sudo apt-get install -y {0}".format(ctx.attr.package))
    ctx.file("WORKSPACE", "workspace(name = \"{}\")\n".format(ctx.name))
    ctx.file("BUILD.bazel", _BUILD.format(
        name = ctx.attr.library,
        copts = repr(ctx.attr.copts),
        linkopts = repr(ctx.attr.linkopts),
    ))

_debian_library = repository_rule(
    implementation = _debian_library_impl,
    doc = "A library whose headers, and shared objects if any, come from a Debian package: //:<library>.",
    attrs = {
        "library": attr.string(mandatory = True, doc = "The cc_library's name."),
        "package": attr.string(mandatory = True, doc = "The Debian package, as in libraries.txt."),
        "headers": attr.string_list(mandatory = True, doc = "Files or directories of headers_folder."),
        "headers_folder": attr.string(default = "/usr/include"),
        "sources": attr.string_list(doc = "C files that the package has instead of a library."),
        "copts": attr.string_list(doc = "Compiler options for those files."),
        "linkopts": attr.string_list(doc = "Linker options for programs that use the library."),
        "upstream_url": attr.string(doc = "A release with an include/ directory, used if the package isn't installed."),
        "upstream_sha256": attr.string(),
        "upstream_prefix": attr.string(doc = "The directory of the release that contains include/."),
    },
    local = True,
)

def trestle_integration_dependencies():
    """Declares the libraries of //examples and //integrations, except what the workspace has declared already."""
    if not native.existing_rule("nlohmann_json"):
        _debian_library(
            name = "nlohmann_json",
            library = "json",
            package = "nlohmann-json3-dev",
            headers = ["nlohmann"],
            upstream_url = "https://github.com/nlohmann/json/releases/download/v3.11.2/json.tar.xz",
            upstream_sha256 = "8c4b26bf4b422252e13f332bc5e388ec0ab5c3443d24399acb675e68278d341f",
            upstream_prefix = "json",
        )
    if not native.existing_rule("prometheus_cpp"):
        _debian_library(
            name = "prometheus_cpp",
            library = "core",
            package = "prometheus-cpp-dev",
            headers = ["prometheus"],
            linkopts = ["-lprometheus-cpp-core"],
        )
    if not native.existing_rule("llhttp"):
        _debian_library(
            name = "llhttp",
            library = "llhttp",
            package = "node-llhttp",
            headers = ["llhttp.h"],
            headers_folder = "/usr/share/include/llhttp",
            sources = ["/usr/share/llhttp/" + name for name in ["api.c", "http.c", "llhttp.c"]],
            # Without strict mode it accepts a bare LF in some places, and white space before a colon.
            copts = ["-DLLHTTP_STRICT_MODE=1"],
        )
    if not native.existing_rule("modsecurity"):
        _debian_library(
            name = "modsecurity",
            library = "modsecurity",
            package = "libmodsecurity-dev",
            headers = ["modsecurity"],
            linkopts = ["-lmodsecurity"],
        )
    if not native.existing_rule("pcre2"):
        _debian_library(
            name = "pcre2",
            library = "pcre2",
            package = "libpcre2-dev",
            headers = ["pcre2.h"],
            linkopts = ["-lpcre2-8"],
        )
    if not native.existing_rule("brotli"):
        _debian_library(
            name = "brotli",
            library = "brotli",
            package = "libbrotli-dev",
            headers = ["brotli"],
            linkopts = ["-lbrotlienc", "-lbrotlidec"],
        )
    if not native.existing_rule("zlib"):
        _debian_library(
            name = "zlib",
            library = "zlib",
            package = "zlib1g-dev",
            headers = ["zlib.h", "zconf.h"],
            linkopts = ["-lz"],
        )
    if not native.existing_rule("hiredis"):
        _debian_library(
            name = "hiredis",
            library = "hiredis",
            package = "libhiredis-dev",
            headers = ["hiredis"],
            linkopts = ["-lhiredis"],
        )
    if not native.existing_rule("nghttp2"):
        _debian_library(
            name = "nghttp2",
            library = "nghttp2",
            package = "libnghttp2-dev",
            headers = ["nghttp2"],
            linkopts = ["-lnghttp2"],
        )
    if not native.existing_rule("asio"):
        _debian_library(
            name = "asio",
            library = "asio",
            package = "libasio-dev",
            headers = ["asio", "asio.hpp"],
            linkopts = ["-pthread"],
        )
    if not native.existing_rule("libuv"):
        _debian_library(
            name = "libuv",
            library = "uv",
            package = "libuv1-dev",
            headers = ["uv", "uv.h"],
            linkopts = ["-luv"],
        )
    if not native.existing_rule("c_ares"):
        _debian_library(
            name = "c_ares",
            library = "cares",
            package = "libc-ares-dev",
            headers = ["ares.h", "ares_build.h", "ares_rules.h", "ares_version.h"],
            linkopts = ["-lcares"],
        )
    if not native.existing_rule("p11_kit"):
        _debian_library(
            name = "p11_kit",
            library = "p11_kit",
            package = "libp11-kit-dev",
            headers = ["p11-kit"],
            headers_folder = "/usr/include/p11-kit-1",
            linkopts = ["-lp11-kit"],
        )

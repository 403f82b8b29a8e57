"""Trestle's dependencies as Bazel repositories.

A repository is declared only if the workspace has none of that name yet. An embedding workspace can replace one
by declaring it before it calls trestle_dependencies().
"""

load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_archive")

# ---- the four pinned dependencies -------------------------------------------------------------------

def _pinned_source_impl(ctx):
    # The script puts the source into the user's cache. Usually the source is there already, because ./bazelw and
    # tools/bazel run the script before Bazel starts.
    script = str(ctx.path(ctx.attr._fetch_sources))
    ctx.path(ctx.attr._sources)  # a changed pin fetches again
    fetched = ctx.execute(["bash", script, ctx.attr.source], timeout = 4 * 3600, quiet = False)
    if fetched.return_code != 0:
        fail("third_party/fetch_sources failed, see above:\n" + fetched.stderr)
    folder = ctx.execute(["bash", script, "--path", ctx.attr.source]).stdout.strip()

    # A copy, so that the repository survives a cleaned cache.
    copied = ctx.execute(["cp", "-R", folder + "/.", "."], timeout = 600)
    if copied.return_code != 0:
        fail("copying {} failed: {}".format(folder, copied.stderr))
    for path in ctx.attr.delete:
        ctx.delete(path)

    ctx.file("WORKSPACE", "workspace(name = \"{}\")\n".format(ctx.name))
    if ctx.attr.build_file:
        ctx.delete("BUILD.bazel")
        ctx.symlink(ctx.attr.build_file, "BUILD.bazel")
    for path, edits in ctx.attr.edits.items():
        text = ctx.read(path)
        ctx.delete(path)
        ctx.file(path, _edit(path, text, edits), executable = False)

def _edit(path, text, edits):
    # edits: before, after, before, after, …; skips an edit that was made already.
    for i in range(0, len(edits), 2):
        before, after = edits[i], edits[i + 1]
        if before in text:
            text = text.replace(before, after)
        elif after not in text:
            fail("{}: nothing to replace: {}".format(path, before))
    return text

_pinned_source = repository_rule(
    implementation = _pinned_source_impl,
    doc = "One dependency of sources.txt. build_file replaces its BUILD file if that needs a newer Bazel.",
    attrs = {
        "source": attr.string(mandatory = True, doc = "The name in sources.txt."),
        "build_file": attr.label(allow_single_file = True, doc = "Replaces the root BUILD.bazel."),
        "delete": attr.string_list(doc = "Files and directories to delete."),
        "edits": attr.string_list_dict(doc = "File -> before, after, before, after, …"),
        "_fetch_sources": attr.label(default = "//third_party:fetch_sources"),
        "_sources": attr.label(default = "//third_party:sources.txt"),
    },
    environ = ["HOME", "XDG_CACHE_HOME", "TRESTLE_SOURCES", "TRESTLE_UPSTREAM"],
)

# ---- rule sets -----------------------------------------------------------------------------------------

def _native_rules_cc_impl(ctx):
    ctx.file("WORKSPACE", "workspace(name = \"{}\")\n".format(ctx.name))
    ctx.file("BUILD.bazel", "")
    rules = [
        "cc_binary",
        "cc_import",
        "cc_library",
        "cc_test",
        "cc_toolchain",
        "cc_toolchain_suite",
    ]
    ctx.file("cc/BUILD.bazel", "")
    for rule in rules:
        ctx.file("cc/{}.bzl".format(rule), "{0} = native.{0}\n".format(rule))
    ctx.file("cc/defs.bzl", "".join(["{0} = native.{0}\n".format(rule) for rule in rules]))
    ctx.file("cc/compiler/BUILD.bazel", "package(default_visibility = [\"//visibility:public\"])\n" + "".join([
        """config_setting(name = "{0}", flag_values = {{"@bazel_tools//tools/cpp:compiler": "{0}"}})\n""".format(compiler)
        for compiler in ["clang", "clang-cl", "emscripten", "gcc", "mingw-gcc", "msvc-cl"]
    ]))

_native_rules_cc = repository_rule(
    implementation = _native_rules_cc_impl,
    doc = "The files of rules_cc that the dependencies load; they export Bazel's native rules.",
)

def _no_coverage_tools_impl(ctx):
    ctx.file("WORKSPACE", "workspace(name = \"{}\")\n".format(ctx.name))
    ctx.file("BUILD.bazel", """
package(default_visibility = ["//visibility:public"])
filegroup(name = "coverage_report_generator")
filegroup(name = "lcov_merger")
""")

_no_coverage_tools = repository_rule(
    implementation = _no_coverage_tools_impl,
    doc = "Replaces Bazel's coverage tools, which old releases download even for `bazel test`.",
)

# Debian's packages bazel-skylib, bazel-rules-java and bazel-rules-proto put their files here.
_DEBIAN_RULES = {
    "bazel_skylib": "/usr/share/bazel/tools/skylib",
    "rules_java": "/usr/share/bazel/rules/java",
    "rules_proto": "/usr/share/bazel/rules/proto",
}

def _debian_bazel_dependencies():
    """Declares the rule sets for Debian's Bazel 4.2.3 from local files only, so that it can build offline."""
    if not native.existing_rule("rules_cc"):
        _native_rules_cc(name = "rules_cc")
    if not native.existing_rule("remote_coverage_tools"):
        _no_coverage_tools(name = "remote_coverage_tools")
    for name, path in _DEBIAN_RULES.items():
        if not native.existing_rule(name):
            native.local_repository(name = name, path = path)

def _current_bazel_dependencies():
    # With a WORKSPACE file, later releases of rules_cc need protobuf and more; this one has no dependencies.
    if not native.existing_rule("rules_cc"):
        http_archive(
            name = "rules_cc",
            sha256 = "906e89286acc67c20819c3c88b3283de0d5868afda33635d70acae0de9777bb7",
            strip_prefix = "rules_cc-0.0.14",
            urls = ["https://github.com/bazelbuild/rules_cc/releases/download/0.0.14/rules_cc-0.0.14.tar.gz"],
        )
    if not native.existing_rule("bazel_skylib"):
        http_archive(
            name = "bazel_skylib",
            sha256 = "bc283cdfcd526a52c3201279cda4bc298652efa898b10b4db0837dc51652756f",
            urls = ["https://github.com/bazelbuild/bazel-skylib/releases/download/1.7.1/bazel-skylib-1.7.1.tar.gz"],
        )

def _is_debian_bazel():
    # Debian's bazel-bootstrap has no version; official releases have one.
    version = getattr(native, "bazel_version", "")
    return not version or int(version.split(".")[0]) < 6

# Older releases of rules_cc, such as that of Debian, have no such compiler.
_NO_EMSCRIPTEN = ["        \"@rules_cc//cc/compiler:emscripten\": [],\n", ""]

def trestle_dependencies():
    """Declares Trestle's dependencies, except those that the workspace has declared already."""
    if _is_debian_bazel():
        _debian_bazel_dependencies()
    else:
        _current_bazel_dependencies()
    trestle_sources()

def trestle_sources():
    """Declares the four pinned dependencies; extensions.bzl calls it for workspaces with modules."""
    if not native.existing_rule("boringssl"):
        _pinned_source(
            name = "boringssl",
            source = "boringssl",
            build_file = Label("//third_party/boringssl:boringssl.BUILD"),
            delete = ["MODULE.bazel", "util", "third_party/benchmark", "third_party/googletest"],
        )
    if not native.existing_rule("com_google_absl"):
        _pinned_source(
            name = "com_google_absl",
            source = "abseil",
            delete = ["MODULE.bazel"],
            edits = {
                "absl/base/BUILD.bazel": _NO_EMSCRIPTEN,
                "absl/debugging/BUILD.bazel": _NO_EMSCRIPTEN,
                "absl/synchronization/BUILD.bazel": _NO_EMSCRIPTEN,
                # Bazel 4.2.3 rejects private visibility in a list with others.
                "absl/strings/BUILD.bazel": [
                    "        \"//absl/status:__pkg__\",\n        \"//visibility:private\",\n",
                    "        \"//absl/status:__pkg__\",\n",
                ],
                # Bazel 4.2.3 does not know these processors and fails when Clang compiles. `arm` is the older name
                # of aarch32. Without the two PowerPC names, Abseil's random numbers use no AES instructions there.
                "absl/random/internal/BUILD.bazel": _NO_EMSCRIPTEN + [
                    "        \"@platforms//cpu:aarch32\",\n",
                    "        \"@platforms//cpu:arm\",\n",
                    "        \"@platforms//cpu:ppc32\",\n        \"@platforms//cpu:ppc64le\",\n",
                    "",
                ],
                # Debian's copy checks bounds without assertions too; upstream's copy gets the same setting.
                "absl/base/options.h": [
                    "#define ABSL_OPTION_HARDENED 0\n",
                    "#define ABSL_OPTION_HARDENED 1\n",
                ],
            },
        )
    if not native.existing_rule("com_google_googletest"):
        _pinned_source(
            name = "com_google_googletest",
            source = "googletest",
            build_file = Label("//third_party/googletest:googletest.BUILD"),
            delete = ["MODULE.bazel", "WORKSPACE.bzlmod", "googletest/test", "googlemock/test"],
        )
    if not native.existing_rule("com_github_google_benchmark"):
        _pinned_source(
            name = "com_github_google_benchmark",
            source = "benchmark",
            build_file = Label("//third_party/benchmark:benchmark.BUILD"),
            delete = ["MODULE.bazel", "WORKSPACE.bzlmod", "bindings", "test", "tools"],
        )

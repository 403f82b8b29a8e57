"""Trestle's dependencies for workspaces with modules (MODULE.bazel).

The repositories are those of WORKSPACE, from the same pins. To replace one, name yours in your own MODULE.bazel:

    sources = use_extension("@trestle//third_party:extensions.bzl", "sources")
    override_repo(sources, com_google_absl = "abseil-cpp")
"""

load(":libraries.bzl", "trestle_integration_dependencies")
load(":repositories.bzl", "trestle_sources")

sources = module_extension(
    implementation = lambda ctx: trestle_sources(),
    doc = "The four dependencies of sources.txt.",
)

libraries = module_extension(
    implementation = lambda ctx: trestle_integration_dependencies(),
    doc = "Libraries for examples and integrations only.",
)

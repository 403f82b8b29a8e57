"""trestle_test and trestle_fuzz_test: what each test of this repository has in common."""

def trestle_test(name, deps = [], srcs = None, size = "small", tags = [], **kwargs):
    """A GoogleTest (with GoogleMock and main) in <name>.cc. "small" means: done within a minute.

    The tag "programs" is for tests that run programs of tests/programs.txt: --test_tag_filters=-programs
    leaves them out.
    """
    native.cc_test(
        name = name,
        srcs = srcs if srcs != None else [name + ".cc"],
        size = size,
        tags = tags,
        env = {"TRESTLE_TEST_RUNS_PROGRAMS": "1"} if "programs" in tags else {},
        deps = deps + ["@com_google_googletest//:gtest_main"],
        **kwargs
    )

def trestle_fuzz_test(name, deps = [], srcs = None, corpus = [], size = "small", **kwargs):
    """LLVMFuzzerTestOneInput() in <name>.cc.

    Everyday: a GoogleTest that runs it over the corpus and a few made-up inputs, so that each bug found stays
    found. With --config=fuzz: a libFuzzer program, to be started with `bazel run`.
    """
    native.cc_test(
        name = name,
        srcs = srcs if srcs != None else [name + ".cc"],
        size = size,
        args = select({
            "//bazel:libfuzzer": [],
            "//conditions:default": ["$(locations {})".format(label) for label in corpus],
        }),
        data = corpus,
        linkopts = select({
            "//bazel:libfuzzer": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        tags = ["fuzz"],
        deps = deps + select({
            "//bazel:libfuzzer": [],
            "//conditions:default": ["//bazel:replay_corpus"],
        }),
        **kwargs
    )

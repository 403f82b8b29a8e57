"""trestle_test and trestle_fuzz_test: the macros for all tests of this repository."""

def trestle_test(name, deps = [], srcs = None, size = "small", tags = [], **kwargs):
    """Declares a GoogleTest (with GoogleMock and main) in <name>.cc. A "small" test ends within a minute.

    The tag "programs" marks tests that run programs of tests/programs.txt. --test_tag_filters=-programs
    excludes them.
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
    """Declares a fuzz target: LLVMFuzzerTestOneInput() in <name>.cc.

    By default it is a GoogleTest that runs the function on the corpus and some made-up inputs, as a regression
    test. With --config=fuzz it is a libFuzzer program; start it with `bazel run`.
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

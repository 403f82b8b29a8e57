"""floor_library: a library target on a floor (ARCHITECTURE.md) that depends on no higher floor.

    load("//bazel:floors.bzl", "floor_library")

    floor_library(name = "leg", floor = "base", deps = ["@com_google_absl//absl/strings"])
    floor_library(name = "relay", floor = "io", deps = [":transport"])

A target has include/trestle/<floor>/<name>.h and, if it exists, lib/<floor>/<name>.cc. A target must be
declared after its dependencies, so the root BUILD.bazel goes from the bottom floor to the top.
"""

# The floors, bottom up. A floor may use itself and those below it.
_FLOORS = ["base", "wire", "io", "tls", "proxy", "watch"]

# The edges are not floors: an edge may use itself and the floors listed here; no floor may use an edge.
_EDGES = {
    "posix": ["base", "wire", "io"],
    "testing": ["base", "wire", "io", "tls", "proxy"],
}

# No other floor may use BoringSSL, so that a router does not link it.
_MAY_USE_BORINGSSL = ["tls", "watch", "testing"]

_TAG = "floor="

def _visible_floors(floor):
    if floor in _EDGES:
        return _EDGES[floor] + [floor]
    if floor in _FLOORS:
        return _FLOORS[:_FLOORS.index(floor) + 1]
    fail("unknown floor \"{}\"; there are {} and {}".format(floor, ", ".join(_FLOORS), ", ".join(_EDGES.keys())))

def _check_dep(name, floor, dep):
    if dep.startswith("@boringssl//"):
        if floor not in _MAY_USE_BORINGSSL:
            fail("{} (floor {}) depends on {}: only {} may use BoringSSL".format(
                name,
                floor,
                dep,
                ", ".join(_MAY_USE_BORINGSSL),
            ))
        return
    if dep.startswith("@"):
        return
    if not dep.startswith(":"):
        fail("{}: write \"{}\" as \":name\"; all library targets are in this package".format(name, dep))

    rule = native.existing_rule(dep[1:])
    if rule == None:
        fail("{} depends on {}, which is not declared above it; targets are in floor order".format(name, dep))
    dep_floors = [tag[len(_TAG):] for tag in rule["tags"] if tag.startswith(_TAG)]
    if not dep_floors:
        fail("{} depends on {}, which is not a floor_library".format(name, dep))
    if dep_floors[0] not in _visible_floors(floor):
        fail("{} (floor {}) depends on {} (floor {}): a file includes its own floor and those below, never above".format(
            name,
            floor,
            dep,
            dep_floors[0],
        ))

def floor_library(name, floor, deps = [], hdrs = None, srcs = None, tags = [], **kwargs):
    """Declares a cc_library on one floor.

    Args:
      name: the name of its files, without extension.
      floor: base, wire, io, tls, proxy, watch, or one of the edges posix and testing.
      deps: ":name" of targets above in the same file, or labels of other repositories. No select().
      hdrs: public headers, default include/trestle/<floor>/<name>.h.
      srcs: sources and private headers, default lib/<floor>/<name>.cc if it exists.
      tags: further tags.
      **kwargs: passed to cc_library.
    """
    for dep in deps:
        _check_dep(name, floor, dep)
    native.cc_library(
        name = name,
        srcs = srcs if srcs != None else native.glob(["lib/{}/{}.cc".format(floor, name)], allow_empty = True),
        hdrs = hdrs if hdrs != None else ["include/trestle/{}/{}.h".format(floor, name)],
        includes = ["include"],
        linkstatic = True,
        tags = tags + [_TAG + floor],
        visibility = ["//visibility:public"],
        deps = deps,
        **kwargs
    )

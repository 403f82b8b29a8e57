"""target_table: the cc_library targets of a package as text, for tests that compare them with another build."""

def _text_file_impl(ctx):
    ctx.actions.write(ctx.outputs.out, ctx.attr.content)
    return [DefaultInfo(files = depset([ctx.outputs.out]), runfiles = ctx.runfiles([ctx.outputs.out]))]

_text_file = rule(
    implementation = _text_file_impl,
    attrs = {"content": attr.string(), "out": attr.output(mandatory = True)},
)

def _path(value):
    # ":x.cc" and "x.cc" are files of this package.
    folder = native.package_name()
    name = value[1:] if value.startswith(":") else value
    return folder + "/" + name if folder and not name.startswith("//") else name

def target_table(name):
    """Writes <name>.txt, with a line for each file and dependency of the cc_library targets above in this package.

    The columns: target, "internal" or "public", "srcs" or "hdrs" or "deps", file or label.

    Args:
      name: of the target; the file is <name>.txt.
    """
    lines = []
    for target, rule_of_target in native.existing_rules().items():
        if rule_of_target["kind"] != "cc_library":
            continue
        kind = "internal" if "internal" in rule_of_target["tags"] else "public"
        for attribute in ["srcs", "hdrs"]:
            lines += [" ".join([target, kind, attribute, _path(str(file))]) for file in rule_of_target[attribute] or []]
        lines += [" ".join([target, kind, "deps", str(dep)]) for dep in rule_of_target["deps"] or []]
    _text_file(
        name = name,
        content = "\n".join(lines) + "\n",
        out = name + ".txt",
        visibility = ["//tests/builds:__pkg__"],
    )

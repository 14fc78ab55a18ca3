"""ssh with `pier connect` as its ProxyCommand, and a local sshd."""
import contextlib, os, pwd, shutil

from stage import case, Skipped, text, wait, free_port, is_bound, same


@case("ssh with connect as its ProxyCommand", "ssh", "sshd", "ssh-keygen")
def _(stage):
    with contextlib.ExitStack() as made:
        account = pwd.getpwuid(os.getuid())
        if os.path.basename(account.pw_shell) in ("nologin", "false"):
            raise Skipped(f"{account.pw_name} may not log in")
        if os.getuid() == 0 and not os.path.isdir("/run/sshd"):
            # Where sshd puts those who have not logged in yet.
            os.mkdir("/run/sshd", 0o755)
            made.callback(os.rmdir, "/run/sshd")
        keys = {name: f"{stage.folder}/{name}" for name in ("host", "user")}
        for key in keys.values():
            stage.end(stage.start("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key))
        port, user = free_port(), account.pw_name
        settings = stage.file(f"""
            Port {port}\nListenAddress 127.0.0.1\nHostKey {keys['host']}\nAuthorizedKeysFile {keys['user']}.pub
            PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password
            """.encode())
        host = stage.start(shutil.which("sshd"), "-D", "-e", "-f", settings)
        wait(lambda: is_bound("tcp", port, host))
        known = stage.file(f"[127.0.0.1]:{port} {text(keys['host'] + '.pub')}".encode())
        _, at = stage.listen("relay", stage.path("sock"), f"127.0.0.1:{port}")
        content = os.urandom(6 << 20)
        for place in ("%h:%p", "%h %p", at):
            settings = ["BatchMode=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={known}",
                        f"ProxyCommand={stage.pier} connect {place}"]
            words = ["-F", "none", "-i", keys["user"], "-p", port, *(word for each in settings for word in ("-o", each))]
            came = stage.path("came")
            asking = stage.start(
                "ssh", *words, f"{user}@127.0.0.1", "cat; exit 7", input=stage.file(content), output=came)
            stage.end(asking, 7)
            same(came, content)

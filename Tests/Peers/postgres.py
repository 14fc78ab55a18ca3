"""psql, and a PostgreSQL."""
import os, pathlib, pwd

from stage import case, text, dead, wait, is_bound, place_of


@case("psql through relay: 100 000 rows, and COPY in", "psql", "initdb", seconds=60)
def _(stage):
    home = stage.path("data")
    os.mkdir(home, 0o700)
    as_user, name = {}, pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:
        # It refuses to be root.
        user = pwd.getpwnam("postgres")
        os.chown(home, user.pw_uid, user.pw_gid)
        os.chmod(stage.folder, 0o711)
        as_user, name = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": home}, "postgres"
    data = f"{home}/data"
    words = ["-A", "trust", "-U", name, "--no-sync", "-E", "UTF8", "-D", data]
    stage.end(stage.start("initdb", *words, output=stage.path("log"), **as_user))
    words = ["-D", data, "-k", home, "-c", "listen_addresses=", "-c", "fsync=off"]
    database = stage.start("postgres", *words, **as_user)
    path = f"{home}/.s.PGSQL.5432"
    wait(lambda: is_bound("unix", path, database))
    _, at = stage.listen("relay", "127.0.0.1:0", path)
    stage.listen("relay", f"{stage.folder}/.s.PGSQL.5432", path)
    places = [["-h", home], ["-h", "127.0.0.1", "-p", place_of(at)], ["-h", stage.folder]]

    psql = ["psql", "-XqAtw", "-v", "ON_ERROR_STOP=1", "-U", name, "-d", "postgres"]

    def ask(place, *words, **more):
        came = stage.path("came")
        stage.end(stage.start(*psql, *place, *words, output=came, **more))
        return pathlib.Path(came).read_bytes()

    def is_up():
        probe = stage.start(*psql, "-h", home, "-c", "select 1")
        probe.communicate()
        dead(database)
        return probe.returncode == 0

    wait(is_up)
    query = ["-c", "select n, md5(n::text), repeat(chr(65 + n % 26), n % 100) from generate_series(1, 100000) n"]
    direct, *relayed = [ask(place, *query) for place in places]
    assert direct.count(b"\n") == 100_000 and all(each == direct for each in relayed), "other rows"
    ask(places[0], "-c", "create table t (n int, hash text, letters text)")
    for place in places[1:]:
        ask(place, "-c", "truncate t", "-c", "copy t from stdin (delimiter '|')", input=stage.file(direct))
        stored = ask(places[0], "-c", "copy (select * from t order by n) to stdout (delimiter '|')")
        assert stored == direct, "other rows in"

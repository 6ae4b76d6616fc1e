"""Private things of made-up people, one of every kind that a recording was seen to carry, and where each may stand.

A canary is a text as it would stand in a file, and the piece of it that must be nowhere afterwards. The secrets are of
the right form and belong to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

from rope_prof.io.run.redact import PrivateWords

WORDS = PrivateWords(
    {
        "cnry-environment-value": "environment",
        "/home/cnryhome": "home",
        "cnryhost-gpubox": "host",
        "cnryuser": "user",
    }
)


@dataclass(frozen=True)
class Canary:
    """`text` stands in a file; `gone` is the part of it that must not leave."""

    kind: str
    text: str
    gone: str


def _c(kind: str, text: str, gone: str) -> Canary:
    assert gone in text, (kind, text, gone)
    return Canary(kind, text, gone)


_HEX = "0123456789abcdef"
CANARIES = (
    # words of the machine
    _c("host word", "ran on cnryhost-gpubox today", "cnryhost-gpubox"),
    _c("user word", "by cnryuser", "cnryuser"),
    _c("environment value", "NOTE is cnry-environment-value", "cnry-environment-value"),
    _c("own home", "cd /home/cnryhome", "cnryhome"),
    # paths
    _c("linux home", "/home/cnrya/proj/x.py", "cnrya"),
    _c("linux home alone", "cd /home/cnryb", "cnryb"),
    _c("mac home", "/Users/cnryc/proj/x.py(12): f", "cnryc"),
    _c("root's folder", "/root/cnryd/x.py", "cnryd"),
    _c("scratch", "/scratch/cnrye/run -o y", "cnrye"),
    _c("workspace", "/workspace/cnryteam/x.py", "cnryteam"),
    _c("second of a list", "PYTHONPATH=/opt/x:/home/cnryf/lib", "cnryf"),
    _c("third of a list", "PATH=/usr/bin:/usr/local/bin:/data/cnryg/bin", "cnryg"),
    _c("mount", "-v /data/in:/home/cnryh/out", "cnryh"),
    _c("mount, both sides", "-v /data/cnryi/in:/mnt/out/x", "cnryi"),
    _c("file address", "file:///home/cnryj/x.py", "cnryj"),
    _c("file address with host", "file://cnryk.lan/srv/share/x.py", "cnryk"),
    _c("scp", "cnryl@gpubox9:/scratch/data/x", "cnryl"),
    _c("scp, its host", "bob@cnrym-box:/scratch/data/x", "cnrym"),
    _c("git over ssh", "git@cnryn.example:team/repo.git", "cnryn"),
    _c("ssh", "ssh cnryo@gpubox9", "cnryo"),
    _c("windows", "C:\\Users\\cnryp\\x\\a.py", "cnryp"),
    _c("windows, escaped", "C:\\\\Users\\\\cnryq\\\\x\\\\a.py", "cnryq"),
    _c("windows, slashes", "C:/Users/cnryr/x/a.py", "cnryr"),
    _c("windows, a space", "C:\\Users\\cnrys smith\\x\\a.py", "cnrys"),
    _c("windows share", "\\\\nas\\cnryt\\x\\y.py", "cnryt"),
    _c("share", "//nas/cnryu/x/y.py", "cnryu"),
    _c("escaped slashes", "\\/home\\/cnryv\\/x.py", "cnryv"),
    _c("letter of a home", "/home/cnryw\u00e9lise/proj/x.py", "cnryw"),
    _c("escaped letter", "/home/cnryx\\u00e9lise/proj/x.py", "cnryx"),
    _c("chinese home", "/home/\u738b\u5c0f\u660e/proj/x.py", "\u738b\u5c0f\u660e"),
    _c("home with a space", "'/home/cnryy smith/x/y.py'", "cnryy"),
    _c("tilde", "cd ~cnryz/proj", "cnryz"),
    _c("percent", "url=%2Fhome%2Fcnry2a%2Fx.py", "cnry2a"),
    _c("inductor's cache", "/tmp/torchinductor_cnry2b/ab/cd.py", "cnry2b"),
    _c("temporary folder", "/tmp/cnry2c/x.py", "cnry2c"),
    _c("include", "-I/home/cnry2d/include/x.h", "cnry2d"),
    _c("quoted", 'open("/data/cnry2e/x.bin")', "cnry2e"),
    _c("template name", "kernel</home/cnry2f/x.cu:12>(int)", "cnry2f"),
    _c("home of another name", "cd /nfs/homes/cnry3a", "cnry3a"),
    _c("home under a system's folder", "/usr/local/home/cnry3b/x.py", "cnry3b"),
    _c("home behind dots", "/opt/../home/cnry3c/x.py", "cnry3c"),
    _c("memory", "/dev/shm/cnry3d/x", "cnry3d"),
    _c("home with a sign", "/home/o'cnry3e/proj/x.py", "cnry3e"),
    _c("home with an escaped blank", "cd /home/bob\\ cnry3f/x/y.py", "cnry3f"),
    _c("home, a mark by itself", "/Users/e\u0301cnry3g/proj/x.py", "cnry3g"),
    _c("windows home alone", "C:\\Users\\cnry3h", "cnry3h"),
    _c("windows, a sign", "C:\\Users\\o'cnry3i, b\\x\\a.py", "cnry3i"),
    _c("windows, brackets", "D:\\Data (x86)\\cnry3j\\a.py", "cnry3j"),
    _c("windows share, long", "\\\\?\\UNC\\nas\\cnry3k\\x.py", "cnry3k"),
    _c("windows share, hidden", "\\\\nas\\cnry3l$\\x.py", "cnry3l"),
    _c("percent, any folder", "%2Fdata%2Fcnry3m%2Fx.py", "cnry3m"),
    _c("percent, windows", "C%3A%5CUsers%5Ccnry3n%5Cx.py", "cnry3n"),
    _c("percent, twice", "%252Fdata%252Fcnry3o%252Fx.py", "cnry3o"),
    _c("inductor's cache alone", "/tmp/torchinductor_cnry3p", "cnry3p"),
    _c("bucket", "s3://cnry3q-bucket/models/x", "cnry3q"),
    _c("ssh, options", "ssh -p 22 -i key cnry3r@gpubox9", "cnry3r"),
    _c("ssh address", "ssh://cnry3s@gpubox9.example/x", "cnry3s"),
    # secrets by form
    _c("github", "ghp_" + "cnryGH12" * 5, "cnryGH12"),
    _c("github, fine", "github_pat_" + "cnryGP12" * 4, "cnryGP12"),
    _c("gitlab", "glpat-" + "cnryGL12" * 3, "cnryGL12"),
    _c("hugging face", "hf_" + "cnryHF12" * 4, "cnryHF12"),
    _c("openai", "sk-proj-" + "cnryOA12" * 4, "cnryOA12"),
    _c("anthropic", "sk-ant-" + "cnryAN12" * 4, "cnryAN12"),
    _c("nvidia", "nvapi-" + "cnryNV12" * 4, "cnryNV12"),
    _c("slack", "xoxb-" + "cnrySL12-" * 3, "cnrySL12"),
    _c("slack hook", "https://hooks.slack.com/services/T0/B0/cnrySH12", "cnrySH12"),
    _c("aws id", "AKIA" + "CNRYAWS0" * 2, "CNRYAWS0"),
    _c("aws id, short-lived", "ASIA" + "CNRYAWS1" * 2, "CNRYAWS1"),
    _c("aws secret", "AWS_SECRET_ACCESS_KEY=cnryAWS2/x+y", "cnryAWS2"),
    _c("google", "AIza" + "cnryGO1" * 5, "cnryGO1"),
    _c("google, oauth", "ya29." + "cnryGO12" * 4, "cnryGO12"),
    _c("azure", "AccountKey=cnryAZ12/abc==", "cnryAZ12"),
    _c("jwt", "eyJhbGciOiJ.eyJjbnJ5Snc.cnryJWT123456", "cnryJWT123456"),
    _c("npm", "npm_" + "cnryNP12" * 5, "cnryNP12"),
    _c("pypi", "pypi-" + "cnryPY12" * 4, "cnryPY12"),
    _c("stripe", "sk_live_" + "cnryST12" * 3, "cnryST12"),
    _c("databricks", "dapi" + _HEX * 2, _HEX),
    _c("docker", "dckr_pat_" + "cnryDK12" * 3, "cnryDK12"),
    _c("vault", "hvs." + "cnryVA12" * 3, "cnryVA12"),
    _c("private key", "-----BEGIN RSA PRIVATE KEY-----\ncnryPEM1\n-----END RSA PRIVATE KEY-----", "cnryPEM1"),
    _c("public ssh key", "ssh-rsa AAAA" + "cnrySSH1" * 4 + " bob", "cnrySSH1"),
    _c("gitlab, a job's", "glcbt-64_" + "cnryGJ12" * 3, "cnryGJ12"),
    _c("grafana", "glc_" + "cnryGR12" * 3, "cnryGR12"),
    _c("notion", "ntn_" + "cnryNO12" * 4, "cnryNO12"),
    _c("perplexity", "pplx-" + "cnryPP12" * 5, "cnryPP12"),
    _c("together", "tgp_v1_" + "cnryTG12" * 5, "cnryTG12"),
    _c("ecdsa", "ecdsa-sha2-nistp256 AAAA" + "cnryEC12" * 4, "cnryEC12"),
    _c("pgp", "-----BEGIN PGP PRIVATE KEY BLOCK-----\ncnryPEM2\n-----END PGP PRIVATE KEY BLOCK-----", "cnryPEM2"),
    # secrets by what stands before them
    _c("option, underscore", "--hf_token cnryopt9", "cnryopt9"),
    _c("option, two words", "--secret-key cnryopt10", "cnryopt10"),
    _c("curl, long", "curl --user bob:cnryopt11 x", "cnryopt11"),
    _c("curl, joined", "curl -ubob:cnryopt12 x", "cnryopt12"),
    _c("bearer, letters", "Authorization: Bearer cnryoptabc", "cnryoptabc"),
    _c("header", "X-Api-Key: cnryhead1", "cnryhead1"),
    _c("cookie", "Cookie: session=cnryhead2", "cnryhead2"),
    _c("yaml", "password: cnryyaml1", "cnryyaml1"),
    _c("netrc", "machine example.org login bob password cnrynetrc", "cnrynetrc"),
    _c("variable, key", "OPENAI_KEY=cnryvar6", "cnryvar6"),
    _c("variable, pass", "DB_PASS=cnryvar7", "cnryvar7"),
    _c("variable, pwd", "MYSQL_PWD=cnryvar8", "cnryvar8"),
    _c("password with a sign", "postgres://bob:p@cnryurl6@db.example/x", "cnryurl6"),
    _c("short user in an address", "https://cnryu7@example.org/x", "cnryu7"),
    _c("azure's signature", "?sv=2022-11-02&ss=b&sig=cnryurl8", "cnryurl8"),
    _c("key of an address", "https://example.org/?key=cnryurl9", "cnryurl9"),
    _c("option", "--token=cnryopt1", "cnryopt1"),
    _c("option, a blank", "--api-key cnryopt2", "cnryopt2"),
    _c("option, long", "--hf-auth-token cnryopt3", "cnryopt3"),
    _c("option, quoted", "--password 'cnry opt4'", "cnry opt4"),
    _c("mysql", "mysql -pcnryopt5", "cnryopt5"),
    _c("p", "tool -p cnryopt6 run", "cnryopt6"),
    _c("curl", "curl -u bob:cnryopt7 x", "cnryopt7"),
    _c("bearer", "Authorization: Bearer cnry0opt8abc", "cnry0opt8abc"),
    _c("variable", "WANDB_API_KEY=cnryvar1", "cnryvar1"),
    _c("variable, lower", "password=cnryvar2", "cnryvar2"),
    _c("variable, quoted", 'export MY_SECRET="cnryvar3"', "cnryvar3"),
    _c("json in a word", '{"WANDB_API_KEY": "cnryvar4"}', "cnryvar4"),
    _c("python dict", "{'hf_token': 'cnryvar5'}", "cnryvar5"),
    _c("user and password", "https://bob:cnryurl1@example.org/x", "cnryurl1"),
    _c("token in an address", "https://cnryurl2tok@example.org/x", "cnryurl2tok"),
    _c("signed address", "https://example.org/x?X-Amz-Signature=cnryurl3&y=1", "cnryurl3"),
    _c("parameter", "https://example.org/x?access_token=cnryurl4", "cnryurl4"),
    _c("redis", "redis://:cnryurl5@10.1.2.3:6379/0", "cnryurl5"),
    # who and where
    _c("mail", "bob.cnrymail@example.org", "cnrymail"),
    _c("mail, its end", "ask bob.cnrymail2@example.org.", "cnrymail2"),
    _c("mail, percent", "bob.cnrymail3%40example.org", "cnrymail3"),
    _c("mail, inside", "bob.cnrymail4@corp.internal", "cnrymail4"),
    _c("variable of a host", "SLURM_NODELIST=cnrynode1", "cnrynode1"),
    _c("variable of a user", "LOGNAME=cnrynode2", "cnrynode2"),
    _c("launcher's host", "--master-addr cnrynode3 x", "cnrynode3"),
    _c("host in capitals", "on CNRYHOST-GPUBOX", "CNRYHOST-GPUBOX"),
    _c("machine in an address", "http://cnrynode4:8000/x", "cnrynode4"),
    _c("machine, ipv6", "tcp://[fd00:1234:5678::9abc]:29500", "fd00:1234:5678"),
    _c("network card", "HWaddr 0c:42:a1:de:ad:01", "0c:42:a1:de:ad:01"),
    _c("gpu", "GPU-3f8a1b2c-1111-2222-3333-444455556666", "3f8a1b2c-1111"),
    _c("machine and port", "tcp://10.11.12.13:29500", "10.11.12.13"),
)

#: Fields whose value goes by the field's name, whatever it is: as they stand in traces and in run folders.
NAMED = {
    "host_name": "cnryfield1",
    "hostname": "cnryfield2",
    "Hostname": "cnryfield3",
    "host": "cnryfield4",
    "username": "cnryfield5",
    "user": {"name": "cnryfield6"},
    "env": {"ANY": "cnryfield7"},
    "environ": ["ANY=cnryfield8"],
    "cmdline": ["x", "cnryfield9"],
    "argv": ["cnryfield10"],
    "master_addr": "cnryfield11",
    "process.command_line": "cnryfield12",
    "labels": "cnryfield13",
    "HF_TOKEN": "cnryfield14",
    "AWS_SECRET_ACCESS_KEY": "cnryfield15",
    "db_password": "cnryfield16",
    "working_directory": "cnryfield17",
    "uuid": "cnryfield18",
}


def pieces(data: object) -> list[str]:
    """The words of a value of `NAMED`."""
    if isinstance(data, str):
        return [data] if data.startswith("cnry") else []
    items = data.values() if isinstance(data, dict) else data
    return [word for item in items for word in pieces(item)]  # type: ignore[union-attr,attr-defined]

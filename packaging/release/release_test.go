package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// version is one of those that an event must be able to name: dpkg sorts what follows a tilde first.
const version = "1.2.3~rc1"

// made is the folder with everything that a release has, made once for all tests.
var made = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "postern-release-")
	if err != nil {
		return "", err
	}
	return dir, run(context.Background(), []string{"-out", dir, "-version", version, "all", "tree"})
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := made(); err == nil && code == 0 {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// need skips a test whose program is missing, except where everything must run.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", p)
		}
		t.Skipf("needs %s", p)
	}
}

func folder(t *testing.T) string {
	t.Helper()
	need(t, "dpkg-deb")
	if _, err := os.Stat(authorities); err != nil {
		t.Skip(err)
	}
	dir, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(cmd.Args, " "), err, out, complaints.Bytes())
	}
	return string(out)
}

// Two releases of one commit are the same, byte for byte.
func TestReproducible(t *testing.T) {
	first := folder(t)
	second := t.TempDir()
	t.Setenv("TZ", "Pacific/Auckland")
	t.Setenv("LC_ALL", "C")
	if err := run(t.Context(), []string{"-out", second, "-version", version, "all"}); err != nil {
		t.Fatal(err)
	}
	a, err := os.ReadFile(filepath.Join(first, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(second, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) || len(a) == 0 {
		t.Errorf("the first run made\n%s\nthe second\n%s", a, b)
	}
}

func TestBinaryForOtherMachines(t *testing.T) {
	if testing.Short() || os.Getenv("CI") != "true" {
		t.Skip("compiles everything anew; runs in CI")
	}
	dir := t.TempDir()
	if err := run(t.Context(), []string{"-out", dir, "-version", version, "-arch", "arm64", "binary", "sbom"}); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 20)
	f, err := os.Open(filepath.Join(dir, "postern_"+version+"_linux_arm64"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Read(head); err != nil || head[18] != 183 { // ELF's EM_AARCH64
		t.Errorf("the file begins with %x, %v", head, err)
	}
}

// Debian's own judge finds nothing, but for the one thing that is said to be meant.
func TestPackageIsClean(t *testing.T) {
	deb := filepath.Join(folder(t), "postern_"+version+"_amd64.deb")
	need(t, "lintian")
	if out := command(t, "lintian", "--allow-root", "--fail-on", "error,warning", deb); out != "" {
		t.Errorf("lintian says\n%s", out)
	}
	meant, err := os.ReadFile("../deb/lintian-overrides")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(meant, []byte("\npostern: ")); n != 1 {
		t.Errorf("%d things are said to be meant", n)
	}
}

func TestPackageHolds(t *testing.T) {
	deb := filepath.Join(folder(t), "postern_"+version+"_amd64.deb")
	root := t.TempDir()
	command(t, "dpkg-deb", "-x", deb, root)
	for _, name := range []string{
		"etc/postern/postern.toml", "etc/default/postern", "usr/bin/postern", "usr/lib/systemd/system/postern.service", "usr/lib/sysusers.d/postern.conf",
		"usr/share/man/man1/postern.1.gz", "usr/share/bash-completion/completions/postern", "usr/share/zsh/vendor-completions/_postern",
		"usr/share/fish/vendor_completions.d/postern.fish", "usr/share/doc/postern/changelog.gz", "usr/share/doc/postern/copyright",
		"usr/share/doc/postern/examples/postern.socket",
	} {
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := command(t, filepath.Join(root, "usr/bin/postern"), "version"); !strings.HasPrefix(got, "postern "+version+" ") {
		t.Errorf("the version is %q", got)
	}
	notice, err := os.ReadFile(filepath.Join(root, "usr/share/doc/postern/copyright"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"The Go programming language", "modernc.org/sqlite", "github.com/emersion/go-imap/v2"} {
		if !bytes.Contains(notice, []byte(name)) {
			t.Errorf("nothing is said of %s", name)
		}
	}
	// What is commented out in the configuration must be valid where it is taken in.
	if got := command(t, "dpkg-deb", "-f", deb, "Version", "Architecture"); got != "Version: "+version+"\nArchitecture: amd64\n" {
		t.Errorf("control says %q", got)
	}
}

func TestBillOfMaterials(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder(t), "postern_"+version+"_linux_amd64.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var b bill
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	found := map[string]component{}
	for _, c := range b.Components {
		found[c.Name] = c
	}
	if c := found["modernc.org/sqlite"]; c.PURL != "pkg:golang/modernc.org/sqlite@"+c.Version || len(c.Hashes) != 1 {
		t.Errorf("of SQLite it says %+v", c)
	}
	if _, inside := found["github.com/letsencrypt/pebble/v2"]; inside {
		t.Error("a tool of the tests is said to be in the binary")
	}
}

// exposure is what systemd-analyze concludes.
var exposure = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

func TestUnitIsTight(t *testing.T) {
	need(t, "systemd-analyze")
	out := command(t, "systemd-analyze", "security", "--offline=true", "--no-pager", "../postern.service")
	m := exposure.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze says %q", out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 1.5 {
		t.Errorf("the unit is exposed at %s, over 1.5\n%s", m[1], out)
	}
}

package seal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRootKeyTexts parses the files of testdata/rootkey. Behind each .key
// there is a .golden with the id, or with what the person is told.
func TestRootKeyTexts(t *testing.T) {
	if *update {
		writeRootKeyTexts(t)
	}
	paths, _ := filepath.Glob("testdata/rootkey/*.key")
	if len(paths) < 10 {
		t.Fatalf("%d files", len(paths))
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".key"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			root, err := ParseRootKey(text)
			if e := (*KeyFileError)(nil); errors.As(err, &e) {
				got = e.Error()
			} else if err == nil {
				got = root.ID()
			}
			golden := strings.TrimSuffix(path, ".key") + ".golden"
			if *update {
				os.WriteFile(golden, []byte(got+"\n"), 0o644)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got+"\n" != string(want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func writeRootKeyTexts(t *testing.T) {
	good := string(newRootKey(testKey()).text())
	lines := strings.SplitAfter(good, "\n")
	replace := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	resealed := func(head, key string) string { return head + key + rootKeySum + checksum(head+key) + "\n" }
	for name, text := range map[string]string{
		"good":             good,
		"other-line-ends":  strings.ReplaceAll(good, "\n", "\r\n"),
		"spaces-and-lines": "\n  " + strings.ReplaceAll(good, "\n", "  \n\n"),
		"no-last-line-end": strings.TrimSuffix(good, "\n"),
		"upper-case-sum":   lines[0] + lines[1] + "sum " + strings.ToUpper(strings.TrimPrefix(lines[2], "sum ")),
		"empty":            "",
		"not-a-key":        "-----BEGIN PRIVATE KEY-----\n" + lines[1] + lines[2],
		"newer-version":    replace(" v1 ", " v2 "),
		"key-mistyped":     replace("AAECAwQF", "AAECAwQE"),
		"key-case-lost":    strings.ToLower(good),
		"key-short":        replace("AAECAwQF", "AAECAwQ"),
		"id-mistyped":      replace("rk-1", "rk-2"),
		"sum-mistyped":     replace("sum ", "sum 0"),
		"sum-missing":      lines[0] + lines[1],
		"sum-other-word":   replace("sum ", "crc "),
		"twice":            good + good,
		"id-of-another":    resealed(replace("rk-1", "rk-2")[:len(lines[0])], lines[1]),
		"not-base64":       resealed(lines[0], strings.Replace(lines[1], "AAECAwQF", "AAEC*wQF", 1)),
		"31-bytes":         resealed(lines[0], "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==\n"),
		"stray-bits":       resealed(lines[0], strings.Replace(lines[1], "Hh8=", "Hh9=", 1)),
		"too-long":         good + strings.Repeat("\n", maxKeyFile),
	} {
		if err := os.WriteFile(filepath.Join("testdata/rootkey", name+".key"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Invariant 10: the key is in a file of its own, for its owner alone.
func TestCreateRootKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	made, err := CreateRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	read, err := LoadRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^rk-[0-9a-f]{12}$`).MatchString(made.ID()) || read.ID() != made.ID() {
		t.Errorf("id %q made, %q read", made.ID(), read.ID())
	}
	id := testIdentity()
	if _, err := read.Key().Unwrap(made.Key().Wrap(NewKey(), id), id); err != nil {
		t.Errorf("the key that was read is another one: %v", err)
	}
	text, _ := os.ReadFile(path)
	if want := rootKeyHeader + made.ID() + "\n"; !strings.HasPrefix(string(text), want) {
		t.Errorf("the file does not begin with %q", want)
	}
}

func TestCreateRootKeyLeavesAnOldOneAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "root.key")
	if _, err := CreateRootKey(path); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if _, err := CreateRootKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second key: %v", err)
	}
	dangling := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), dangling); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateRootKey(dangling); !errors.Is(err, fs.ErrExist) {
		t.Errorf("through a link: %v", err)
	}
	after, _ := os.ReadFile(path)
	if !bytes.Equal(before, after) {
		t.Error("the old key was changed")
	}
}

func TestLoadRootKeyRefusesOpenPermissions(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	path := filepath.Join(t.TempDir(), "root.key")
	if _, err := CreateRootKey(path); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[fs.FileMode]bool{
		0o400: true, 0o600: true, 0o700: true,
		0o640: false, 0o620: false, 0o604: false, 0o602: false, 0o660: false, 0o644: false,
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadRootKey(path)
		if e := (*KeyFileError)(nil); ok && err != nil || !ok && !errors.As(err, &e) {
			t.Errorf("mode %04o: %v", mode, err)
		} else if !ok && (e.Path != path || !strings.Contains(e.Reason, "chmod 600")) {
			t.Errorf("mode %04o: %q does not say what to do", mode, e)
		}
	}
}

// systemd shows the access list of a credential as the rights of its group.
func TestLoadRootKeyTrustsCredentialsDirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "credentials", "root.key")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateRootKey(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o440); err != nil {
		t.Fatal(err)
	}
	for credentials, ok := range map[string]bool{
		filepath.Join(dir, "credentials"):        true,
		filepath.Join(dir, "credentials") + "//": true,
		dir:                                      true,
		filepath.Join(dir, "cred"):               false,
		filepath.Join(dir, "credentials", "x"):   false,
		"credentials":                            false,
		".":                                      false,
		"":                                       false,
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", credentials)
		if _, err := LoadRootKey(path); (err == nil) != ok {
			t.Errorf("CREDENTIALS_DIRECTORY=%s: %v", credentials, err)
		}
	}
}

func TestLoadRootKeyNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "root.key")
	if _, err := LoadRootKey(path); !errors.Is(err, ErrNoRootKey) || !strings.Contains(err.Error(), path) {
		t.Errorf("missing: %v", err)
	}
	var e *KeyFileError
	if _, err := LoadRootKey(dir); !errors.As(err, &e) {
		t.Errorf("a folder: %v", err)
	}
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := LoadRootKey(path); !errors.As(err, &e) || e.Path != path || r != nil {
		t.Errorf("another file: %v, %v", r, err)
	}
}

func TestWrongKey(t *testing.T) {
	have, want := newRootKey(NewKey()), newRootKey(NewKey())
	if err := have.Check(have.ID()); err != nil {
		t.Errorf("its own id: %v", err)
	}
	var e *WrongKeyError
	if err := have.Check(want.ID()); !errors.As(err, &e) || e.Want != want.ID() || e.Have != have.ID() {
		t.Errorf("another's id: %v", err)
	} else if !strings.Contains(err.Error(), want.ID()) || !strings.Contains(err.Error(), have.ID()) {
		t.Errorf("%v does not name both", err)
	}
}

// The first place that is named counts, whether the key is there or not.
func TestFindRootKey(t *testing.T) {
	dir := t.TempDir()
	there := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env, configured := there("env.key"), there("configured.key")
	credentials := filepath.Dir(there("credentials/root.key"))
	gone := filepath.Join(dir, "gone")
	for _, c := range []struct{ env, configured, credentials, want string }{
		{env, configured, credentials, env},
		{"", configured, credentials, configured},
		{"", "", credentials, filepath.Join(credentials, "root.key")},
		{"", "", "", ""},
		{gone, configured, credentials, ""},
		{"", gone, credentials, ""},
		{"", "", gone, ""},
		{"", "", "credentials", ""}, // systemd's is absolute
	} {
		t.Setenv("POSTERN_ROOT_KEY_FILE", c.env)
		t.Setenv("CREDENTIALS_DIRECTORY", c.credentials)
		got, err := FindRootKey(c.configured)
		if got != c.want || (err != nil) != (c.want == "") || err != nil && !errors.Is(err, ErrNoRootKey) {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
		if named := c.env + c.configured + c.credentials; named == gone && !strings.Contains(err.Error(), gone) {
			t.Errorf("%v does not name the place", err)
		}
	}
}

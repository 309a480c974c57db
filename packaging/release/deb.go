package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// packaged are the files of the package that lie ready in the repository.
var packaged = []struct {
	from, to string
	mode     fs.FileMode
}{
	{"packaging/postern.toml", "etc/postern/postern.toml", 0o644},
	{"packaging/postern.default", "etc/default/postern", 0o644},
	{"packaging/postern.service", "usr/lib/systemd/system/postern.service", 0o644},
	{"packaging/postern.socket", "usr/share/doc/postern/examples/postern.socket", 0o644}, // an example: who wants it, enables it
	{"packaging/postern.sysusers", "usr/lib/sysusers.d/postern.conf", 0o644},
	{"packaging/deb/lintian-overrides", "usr/share/lintian/overrides/postern", 0o644},
}

// conffiles are those that an administrator may change, and an upgrade then keeps.
const conffiles = "/etc/default/postern\n/etc/postern/postern.toml\n"

// deb makes the Debian package, of the layout that Debian's policy manual demands.
func (r *release) deb(ctx context.Context) error {
	if err := r.built(ctx); err != nil {
		return err
	}
	root, err := os.MkdirTemp("", "postern-deb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	t := &staging{root: root}
	t.copy(r.program(), "usr/bin/postern", 0o755)
	for _, f := range packaged {
		t.copy(filepath.Join(r.source, f.from), f.to, f.mode)
	}
	r.stageWords(ctx, t)
	r.stageControl(t)
	if t.err != nil {
		return t.err
	}
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, r.path("postern_%s_%s.deb", r.version, r.arch))
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.at.Unix()))
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); errors.Is(err, exec.ErrNotFound) {
		return errors.New("dpkg-deb is not here: Debian has it in the package dpkg")
	} else if err != nil {
		return err
	}
	return nil
}

// stageWords puts in what is read: manual, completion, changelog, licences.
func (r *release) stageWords(ctx context.Context, t *staging) {
	own, err := r.ownProgram(ctx)
	if err != nil {
		t.fail(err)
		return
	}
	for _, p := range []struct {
		args   []string
		to     string
		packed bool
	}{
		{[]string{"man"}, "usr/share/man/man1/postern.1.gz", true},
		{[]string{"completion", "bash"}, "usr/share/bash-completion/completions/postern", false},
		{[]string{"completion", "zsh"}, "usr/share/zsh/vendor-completions/_postern", false},
		{[]string{"completion", "fish"}, "usr/share/fish/vendor_completions.d/postern.fish", false},
	} {
		text, err := output(ctx, "", own, p.args...)
		t.fail(err)
		if p.packed {
			t.pack(text+"\n", p.to)
		} else {
			t.write(text+"\n", p.to, 0o644)
		}
	}
	changes, err := r.changelog()
	t.fail(err)
	t.pack(changes, "usr/share/doc/postern/changelog.gz")
	notice, err := r.notice(ctx)
	t.fail(err)
	t.write(notice, "usr/share/doc/postern/copyright", 0o644)
}

// stageControl puts in what dpkg reads.
func (r *release) stageControl(t *staging) {
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		t.copy(filepath.Join(r.source, "packaging/deb", script), "DEBIAN/"+script, 0o755)
	}
	t.write(conffiles, "DEBIAN/conffiles", 0o644)
	sums, size := t.sums()
	t.write(sums, "DEBIAN/md5sums", 0o644)
	t.write(fmt.Sprintf(`Package: postern
Version: %s
Architecture: %s
Section: mail
Priority: optional
Installed-Size: %d
Depends: systemd | systemd-sysusers
Recommends: ca-certificates
Maintainer: %s
Description: mail server for AI agents, with evidence
 Postern gives each AI agent a mailbox and an identity of its own, over plain
 IMAP and SMTP: least privilege, limits, tokens that can be cut off at once, a
 verdict about injected instructions before an agent sees a message, holds for
 people to decide, and a sealed, tamper-evident log that an auditor verifies
 without trusting the server.
`, r.version, r.arch, size, r.maintainer), "DEBIAN/control", 0o644)
}

// staging is the tree of a package while it is put together.
type staging struct {
	root string
	err  error // the first
}

func (t *staging) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *staging) write(text, to string, mode fs.FileMode) {
	path := filepath.Join(t.root, to)
	t.fail(os.MkdirAll(filepath.Dir(path), 0o755))
	t.fail(os.WriteFile(path, []byte(text), mode))
	t.fail(os.Chmod(path, mode)) // whatever the umask
	for dir := filepath.Dir(path); len(dir) >= len(t.root); dir = filepath.Dir(dir) {
		t.fail(os.Chmod(dir, 0o755))
	}
}

func (t *staging) copy(from, to string, mode fs.FileMode) {
	text, err := os.ReadFile(from)
	t.fail(err)
	t.write(string(text), to, mode)
}

// pack writes a file compressed, without name and time in its header.
func (t *staging) pack(text, to string) {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	w.Write([]byte(text))
	t.fail(w.Close())
	t.write(b.String(), to, 0o644)
}

// sums lists the digests of all files, as dpkg checks them, and their size in KiB.
func (t *staging) sums() (list string, size int64) {
	var b strings.Builder
	t.fail(filepath.WalkDir(t.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		size += int64(len(text)+1023) / 1024
		name, err := filepath.Rel(t.root, path)
		if err == nil && !strings.HasPrefix(name, "DEBIAN/") && !strings.HasPrefix(name, "etc/") {
			fmt.Fprintf(&b, "%x  %s\n", md5.Sum(text), name)
		}
		return err
	}))
	return b.String(), size
}

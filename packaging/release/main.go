package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is one run of this program.
type release struct {
	source  string // folder of the module
	out     string // folder for what is made
	version string // as Debian writes it, such as 1.0.0 or 1.0.0~rc1
	arch    string // as Go names it: amd64, arm64
	at      time.Time

	maintainer string // of the package, as name and address
}

// targets are what can be made.
var targets = map[string]func(*release, context.Context) error{
	"binary": (*release).binary,
	"sbom":   (*release).sbom,
	"deb":    (*release).deb,
	"image":  (*release).image,
	"tree":   (*release).tree,
}

func run(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("release", flag.ContinueOnError)
	out := set.String("out", "dist", "folder for what is made")
	version := set.String("version", "", "version of the release (a number after the commit's date)")
	archs := set.String("arch", runtime.GOARCH, "architectures, divided by commas: amd64, arm64")
	maintainer := set.String("maintainer", "The Postern Authors <postern@example.org>", "who answers for the package")
	if err := set.Parse(args); err != nil {
		return err
	}
	wanted := set.Args()
	if len(wanted) == 0 {
		return errors.New("say what to make: all, binary, sbom, deb, image, or tree")
	}
	if i := slices.Index(wanted, "all"); i >= 0 {
		wanted = slices.Replace(wanted, i, i+1, "binary", "sbom", "deb", "image")
	}
	r := &release{version: *version, maintainer: *maintainer}
	if err := r.look(ctx, *out); err != nil {
		return err
	}
	for arch := range strings.SplitSeq(*archs, ",") {
		r.arch = arch
		for _, name := range wanted {
			target, known := targets[name]
			if !known {
				return fmt.Errorf("nothing is called %q", name)
			}
			if err := target(r, ctx); err != nil {
				return fmt.Errorf("%s for %s: %w", name, arch, err)
			}
		}
	}
	return r.checksums()
}

// versions are those that dpkg and a file name can carry.
var versions = regexp.MustCompile(`^[0-9][0-9A-Za-z.+~]*$`)

// look finds the module, the time of its commit and the version.
func (r *release) look(ctx context.Context, out string) (err error) {
	file, err := output(ctx, "", "go", "env", "GOMOD")
	if err != nil {
		return err
	}
	r.source = filepath.Dir(file)
	if r.out, err = filepath.Abs(out); err != nil {
		return err
	}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		if epoch, err = output(ctx, r.source, "git", "log", "-1", "--format=%ct"); err != nil {
			return fmt.Errorf("no $SOURCE_DATE_EPOCH, and no commit to take the time from: %w", err)
		}
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("the time of the source: %w", err)
	}
	r.at = time.Unix(seconds, 0).UTC()
	r.version = cmp.Or(r.version, "0~"+r.at.Format("20060102.150405"))
	if !versions.MatchString(r.version) {
		return fmt.Errorf("%q is no version, such as 1.0.0 or 1.0.0~rc1", r.version)
	}
	return os.MkdirAll(r.out, 0o755)
}

// path is where something is made.
func (r *release) path(format string, args ...any) string {
	return filepath.Join(r.out, fmt.Sprintf(format, args...))
}

// program is the path of the binary.
func (r *release) program() string { return r.path("postern_%s_linux_%s", r.version, r.arch) }

// binary builds the static binary.
func (r *release) binary(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid= -X postern/server.release="+r.version, "-o", r.program(), "./cmd/postern")
	cmd.Dir = r.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+r.arch, "GOAMD64=v1", "GOFLAGS=", "GOTOOLCHAIN=local")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// built builds the binary where it is not there yet.
func (r *release) built(ctx context.Context) error {
	if _, err := os.Stat(r.program()); err == nil {
		return nil
	}
	return r.binary(ctx)
}

// ownProgram is a binary that runs on this machine: manual and completion are its words.
func (r *release) ownProgram(ctx context.Context) (string, error) {
	own := *r
	own.arch = runtime.GOARCH
	return own.program(), own.built(ctx)
}

// checksums writes SHA256SUMS of all files in the folder, as sha256sum(1) reads them.
func (r *release) checksums() error {
	files, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, f := range files {
		if !f.Type().IsRegular() || f.Name() == "SHA256SUMS" {
			continue
		}
		sum, err := digest(filepath.Join(r.out, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sum, f.Name())
	}
	return os.WriteFile(r.path("SHA256SUMS"), []byte(b.String()), 0o644)
}

func digest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}

// output runs a program and returns what it prints, without the last line end.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return strings.TrimRight(string(text), "\n"), nil
}

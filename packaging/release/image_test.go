package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// open reads the archive of an image and checks each digest on the way.
func open(t *testing.T, path string) (settings map[string]any, files map[string]*tar.Header) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	blobs := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		blobs[h.Name] = body
	}
	blob := func(digest string) []byte {
		body := blobs["blobs/"+strings.Replace(digest, ":", "/", 1)]
		if sha(body) != digest {
			t.Fatalf("the content of %s is another", digest)
		}
		return body
	}
	var index struct{ Manifests []object }
	var manifest struct {
		Config object
		Layers []object
	}
	var config struct{ Config map[string]any }
	for _, part := range []struct {
		text func() []byte
		into any
	}{
		{func() []byte { return blobs["index.json"] }, &index},
		{func() []byte { return blob(index.Manifests[0].Digest) }, &manifest},
		{func() []byte { return blob(manifest.Config.Digest) }, &config},
	} {
		if err := json.Unmarshal(part.text(), part.into); err != nil {
			t.Fatal(err)
		}
	}
	z, err := gzip.NewReader(bytes.NewReader(blob(manifest.Layers[0].Digest)))
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]*tar.Header{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return config.Config, files
		}
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = h
	}
}

// The image has nothing in it that could be run but the server, and no root.
func TestImageHolds(t *testing.T) {
	settings, files := open(t, filepath.Join(folder(t), "postern_"+version+"_linux_amd64.oci.tar"))
	if settings["User"] != "65532:65532" || settings["StopSignal"] != "SIGTERM" || settings["Healthcheck"] == nil || settings["Volumes"] == nil {
		t.Errorf("the image's settings are %v", settings)
	}
	for name, h := range files {
		if h.Typeflag == tar.TypeReg && h.Mode&0o111 != 0 && name != "postern" {
			t.Errorf("%s can be run", name)
		}
		if h.Mode&0o6000 != 0 {
			t.Errorf("%s changes who runs it", name)
		}
	}
	if h := files["data/"]; h == nil || h.Uid != user || h.Mode != 0o700 {
		t.Errorf("the volume is %+v", h)
	}
}

// A stock tool takes the image, and builds the same one from the Containerfile.
func TestImageForStockTools(t *testing.T) {
	dir := folder(t)
	need(t, "buildah")
	if os.Geteuid() != 0 {
		t.Skip("buildah needs root here")
	}
	store := t.TempDir()
	buildah := func(args ...string) string {
		return command(t, "buildah", append([]string{"--storage-driver", "vfs", "--root", filepath.Join(store, "root"), "--runroot", filepath.Join(store, "run")}, args...)...)
	}
	id := strings.TrimSpace(buildah("from", "--pull-never", "oci-archive:"+filepath.Join(dir, "postern_"+version+"_linux_amd64.oci.tar")))
	taken := buildah("inspect", "--format", "{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}", id)

	// The first stage needs a registry: what it makes is put in its place.
	built := filepath.Join(store, "build")
	if err := os.MkdirAll(filepath.Join(built, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", filepath.Join(dir, "tree"), filepath.Join(built, "out/tree")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	buildah("build", "--isolation", "chroot", "--build-context", "build="+built, "-f", "../container/Containerfile", "-t", "postern", t.TempDir())
	own := buildah("inspect", "--type", "image", "--format", "{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}", "postern")
	if taken != own || !strings.HasPrefix(own, "65532:65532 [/postern] [serve]") {
		t.Errorf("the image is run as %q, the one of the Containerfile as %q", taken, own)
	}
}

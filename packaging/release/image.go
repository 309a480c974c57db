package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// user is who the server runs as in the image: what distroless images call nonroot.
const user = 65532

// entry is a file or a folder of the image.
type entry struct {
	name  string // without a slash at the front; folders have one at the end
	mode  fs.FileMode
	owner int
	body  []byte
}

// authorities is where Debian and others keep the certificates of public authorities.
const authorities = "/etc/ssl/certs/ca-certificates.crt"

// contents are all files of the image. There is no shell among them.
func (r *release) contents(ctx context.Context) ([]entry, error) {
	if err := r.built(ctx); err != nil {
		return nil, err
	}
	program, err := os.ReadFile(r.program())
	if err != nil {
		return nil, err
	}
	roots, err := os.ReadFile(authorities)
	if err != nil {
		return nil, fmt.Errorf("%w: install ca-certificates; other servers could not be verified without", err)
	}
	return []entry{
		{"data/", 0o700, user, nil},
		{"data/postern/", 0o700, user, nil},
		{"data/run/", 0o700, user, nil},
		{"data/witness/", 0o700, user, nil},
		{"etc/", 0o755, 0, nil},
		{"etc/group", 0o644, 0, []byte("root:x:0:\npostern:x:65532:\n")},
		{"etc/passwd", 0o644, 0, []byte("root:x:0:0:root:/:/sbin/nologin\npostern:x:65532:65532:postern:/data:/sbin/nologin\n")},
		{"etc/ssl/", 0o755, 0, nil},
		{"etc/ssl/certs/", 0o755, 0, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, 0, roots},
		{"postern", 0o755, 0, program},
		{"tmp/", 0o777 | fs.ModeSticky, 0, nil},
	}, nil
}

// tree writes the image's files into a folder, for who builds an image otherwise.
func (r *release) tree(ctx context.Context) error {
	entries, err := r.contents(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := r.path("tree/%s", e.name)
		if strings.HasSuffix(e.name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, e.body, e.mode.Perm())
		}
		if err == nil {
			err = os.Chmod(path, e.mode)
		}
		if err == nil && os.Geteuid() == 0 {
			err = os.Chown(path, e.owner, e.owner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// layer packs the image's files, all of the same age.
func (r *release) layer(entries []entry) (packed, plain []byte, err error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: int64(e.mode.Perm()), Uid: e.owner, Gid: e.owner, Size: int64(len(e.body)), ModTime: r.at, Format: tar.FormatUSTAR, Typeflag: tar.TypeReg}
		if e.mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, nil, err
		}
		if _, err := w.Write(e.body); err != nil {
			return nil, nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	var z bytes.Buffer
	g, _ := gzip.NewWriterLevel(&z, gzip.BestCompression) // the level is valid
	g.Write(b.Bytes())
	err = g.Close()
	return z.Bytes(), b.Bytes(), err
}

// object is a thing of the image-spec, by its digest.
type object struct {
	Kind     string            `json:"mediaType"`
	Digest   string            `json:"digest"`
	Size     int               `json:"size"`
	Platform map[string]string `json:"platform,omitempty"`
	Notes    map[string]string `json:"annotations,omitempty"`
}

// image writes the image as an archive of an OCI layout, which podman load, skopeo
// and ctr images import take.
func (r *release) image(ctx context.Context) error {
	entries, err := r.contents(ctx)
	if err != nil {
		return err
	}
	packed, plain, err := r.layer(entries)
	if err != nil {
		return err
	}
	settings, err := imageSettings(filepath.Join(r.source, "packaging/container/Containerfile"))
	if err != nil {
		return err
	}
	l := &layout{}
	layer := l.add("application/vnd.oci.image.layer.v1.tar+gzip", packed)
	config := l.addJSON("application/vnd.oci.image.config.v1+json", map[string]any{
		"architecture": r.arch, "os": "linux", "created": r.at, "config": settings,
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{sha(plain)}},
		"history": []any{map[string]any{"created": r.at, "created_by": "packaging/release"}},
	})
	manifest := l.addJSON("application/vnd.oci.image.manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []object{layer},
		"annotations": map[string]string{"org.opencontainers.image.title": "postern", "org.opencontainers.image.version": r.version, "org.opencontainers.image.licenses": "Apache-2.0"},
	})
	manifest.Platform = map[string]string{"architecture": r.arch, "os": "linux"}
	manifest.Notes = map[string]string{"org.opencontainers.image.ref.name": "postern:" + strings.ReplaceAll(r.version, "~", "-")}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []object{manifest}})
	if l.err = errors.Join(l.err, err); l.err != nil {
		return l.err
	}
	l.files = append(l.files, entry{"index.json", 0o644, 0, index}, entry{"oci-layout", 0o644, 0, []byte(`{"imageLayoutVersion":"1.0.0"}`)})
	_, archive, err := r.layer(l.files)
	if err != nil {
		return err
	}
	return os.WriteFile(r.path("postern_%s_linux_%s.oci.tar", r.version, r.arch), archive, 0o644)
}

// layout is an image while it is put together.
type layout struct {
	files []entry
	err   error
}

func (l *layout) add(kind string, body []byte) object {
	name := sha(body)
	l.files = append(l.files, entry{"blobs/sha256/" + strings.TrimPrefix(name, "sha256:"), 0o644, 0, body})
	return object{Kind: kind, Digest: name, Size: len(body)}
}

func (l *layout) addJSON(kind string, v any) object {
	body, err := json.Marshal(v)
	l.err = errors.Join(l.err, err)
	return l.add(kind, body)
}

func sha(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

package injection

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"path"
	"strings"
)

// Bounds of looking into archives.
const (
	maxMembers = 512     // members that are looked at
	maxMember  = 4 << 20 // bytes of one, unpacked
)

// archived reports whether bytes are a zip archive, as office documents are.
func archived(b []byte) bool {
	return bytes.HasPrefix(b, []byte("PK\x03\x04")) || bytes.HasPrefix(b, []byte("PK\x05\x06")) || bytes.HasPrefix(b, []byte("PK00PK"))
}

// into is a walk inside of a file; nil when files are nested too deep.
func (w *walk) into(step Step, at string) *walk {
	chain, ok := w.chain.then(step)
	if !ok || w.depth == maxDepth {
		w.skip(at, "limit")
		return nil
	}
	inner := *w
	inner.chain, inner.depth, inner.fixed = chain, w.depth+1, at
	return &inner
}

func (w *walk) outOf(inner *walk) {
	w.left, w.unpacked, w.parts = inner.left, inner.unpacked, inner.parts
}

// archive reads the files in a zip archive, office documents among them.
func (w *walk) archive(f *file, at string) {
	z, err := zip.NewReader(bytes.NewReader(f.text), int64(len(f.text)))
	if err != nil || !f.whole {
		w.skip(at, "archive")
		return
	}
	inner := w.into(stepArchive, at)
	if inner == nil {
		return
	}
	defer w.outOf(inner)
	if z.Comment != "" {
		inner.put(segment{view: Comment, part: at, text: []byte(z.Comment)})
	}
	for i, m := range z.File {
		if i == maxMembers {
			inner.skip(at, "limit")
			return
		}
		if !strings.HasSuffix(m.Name, ".rels") && !strings.HasSuffix(m.Name, ".xml") {
			inner.put(segment{view: FileName, part: at, text: []byte(m.Name + "\n" + m.Comment)})
		}
		inner.member(m, at)
	}
}

// member reads one member of an archive.
func (w *walk) member(m *zip.File, at string) {
	switch {
	case m.FileInfo().IsDir(), strings.HasPrefix(path.Base(m.Name), "printerSettings"):
		return
	case m.Flags&1 != 0:
		w.skip(at, "encrypted")
		return
	}
	r, err := m.Open()
	if err != nil {
		w.skip(at, "archive")
		return
	}
	defer r.Close()
	w.unpack(r, m.Name, at)
}

// unpack reads a file out of an archive, as far as the bounds let it.
func (w *walk) unpack(r io.Reader, name, at string) {
	limit := min(maxMember, w.unpacked)
	text, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	w.unpacked -= min(len(text), limit)
	f := file{name: name, text: text, attached: true, whole: err == nil && len(text) <= limit}
	if !f.whole {
		w.skip(at, "archive")
		f.text = text[:min(len(text), limit)]
	}
	if len(f.text) > 0 {
		w.content(&f, at)
	}
}

// gzip reads a compressed file, and the files in a compressed tar archive.
func (w *walk) gzip(f *file, at string) {
	z, err := gzip.NewReader(bytes.NewReader(f.text))
	inner := w.into(stepGzip, at)
	if err != nil || inner == nil {
		w.skip(at, "archive")
		return
	}
	defer w.outOf(inner)
	limit := min(maxMember, w.unpacked)
	head := make([]byte, 512)
	n, _ := io.ReadFull(z, head)
	rest := io.MultiReader(bytes.NewReader(head[:n]), z)
	if n == 512 && string(head[257:262]) == "ustar" {
		inner.tar(io.LimitReader(rest, int64(limit)), at)
		return
	}
	inner.unpack(rest, strings.TrimSuffix(f.name, ".gz"), at)
}

// tar reads the files in a tar archive.
func (w *walk) tar(r io.Reader, at string) {
	t := tar.NewReader(r)
	for range maxMembers {
		h, err := t.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			break
		}
		w.put(segment{view: FileName, part: at, text: []byte(h.Name)})
		w.unpack(t, h.Name, at)
	}
	w.skip(at, "archive")
}

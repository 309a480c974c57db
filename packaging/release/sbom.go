package main

import (
	"context"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
)

// bill is a bill of materials in CycloneDX 1.5 (ECMA-424), with what applies here.
type bill struct {
	Format   string `json:"bomFormat"`
	Spec     string `json:"specVersion"`
	Serial   string `json:"serialNumber"`
	Version  int    `json:"version"`
	Metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	} `json:"metadata"`
	Components []component `json:"components"`
}

type component struct {
	Kind    string       `json:"type"`
	Ref     string       `json:"bom-ref,omitempty"`
	Name    string       `json:"name"`
	Version string       `json:"version"`
	PURL    string       `json:"purl,omitempty"` // github.com/package-url/purl-spec
	Hashes  []hashOfPart `json:"hashes,omitempty"`
}

type hashOfPart struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

// sbom lists what is inside the binary: what its linker put down there, not what
// go.mod would allow.
func (r *release) sbom(ctx context.Context) error {
	if err := r.built(ctx); err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(r.program())
	if err != nil {
		return err
	}
	sum, err := digest(r.program())
	if err != nil {
		return err
	}
	b := bill{Format: "CycloneDX", Spec: "1.5", Version: 1, Serial: "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceOID, sum).String()}
	b.Metadata.Timestamp = r.at.Format(time.RFC3339)
	b.Metadata.Component = component{Kind: "application", Ref: "postern", Name: "postern", Version: r.version,
		Hashes: []hashOfPart{{"SHA-256", hex.EncodeToString(sum)}}}
	b.Components = append(b.Components, component{Kind: "library", Ref: "std", Name: "std", Version: info.GoVersion,
		PURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")})
	for _, m := range info.Deps {
		c, err := part(m)
		if err != nil {
			return err
		}
		b.Components = append(b.Components, c)
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.path("postern_%s_linux_%s.cdx.json", r.version, r.arch), append(text, '\n'), 0o644)
}

// part is a module in the bill, with the digest that Go's checksum database has of it.
func part(m *debug.Module) (component, error) {
	if m.Replace != nil {
		m = m.Replace
	}
	purl := "pkg:golang/" + m.Path + "@" + url.PathEscape(m.Version)
	c := component{Kind: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
	if text, ok := strings.CutPrefix(m.Sum, "h1:"); ok {
		sum, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return c, fmt.Errorf("digest of %s: %w", m.Path, err)
		}
		c.Hashes = []hashOfPart{{"SHA-256", hex.EncodeToString(sum)}}
	}
	return c, nil
}

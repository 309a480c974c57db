// Command release makes what people install: the binary, the Debian package, the
// container image, the bill of materials and the checksums, each by one command.
//
//	go run ./packaging/release -out dist -version 1.0.0 all
//	go run ./packaging/release -out dist -arch arm64 deb
//
// The same commit, version and Go release give the same bytes, on any machine: no
// path, clock or user name goes in. Times are those of the commit, or what
// $SOURCE_DATE_EPOCH says (reproducible-builds.org/specs/source-date-epoch).
//
// What a package holds beside the binary is in the files around this folder, to be
// read and changed there: the unit, the configuration, the maintainer scripts. Manual
// page and completions are printed by the binary itself, so that they cannot lag.
// Debian's own dpkg-deb makes the package; the image is written here, as an OCI layout
// (github.com/opencontainers/image-spec), for which no daemon is needed.
package main

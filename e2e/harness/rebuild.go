package harness

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"strings"
)

// OtherBuild writes a copy of a bundle whose core has one more custom section (WebAssembly core specification, 5.5.3): the
// same program, and another build to whoever compares digests, as every new version is.
func OtherBuild(bundle, to string) error {
	packed, err := os.ReadFile(bundle)
	if err != nil {
		return err
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	in, files := tar.NewReader(unzipped), tar.NewWriter(zipped)
	changed := false
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		if strings.HasSuffix(header.Name, "/core.wasm") {
			content = append(content, 0, 6, 5, 'o', 't', 'h', 'e', 'r')
			header.Size, changed = int64(len(content)), true
		}
		if err := files.WriteHeader(header); err != nil {
			return err
		}
		if _, err := files.Write(content); err != nil {
			return err
		}
	}
	if !changed {
		return errors.New("the bundle has no core.wasm")
	}
	if err := errors.Join(files.Close(), zipped.Close()); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}

package documentation_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// module is the prefix of the import paths of the repository.
const module = "minicluster.internal/operator/"

// narrow are the folders whose packages export only what another package uses.
var narrow = []string{"pkg/agent", "pkg/controller", "pkg/metrics", "pkg/flux", "pkg/cmdutil"}

// identifier is a package, by its folder, and a name in it.
type identifier struct{ folder, name string }

// exports collects declarations and uses of exported identifiers.
type exports struct {
	// declared has the position of each exported identifier, and the identifiers that are declared in one group.
	declared map[identifier]token.Position
	groups   [][]identifier
	// used are identifiers that another package names.
	used map[identifier]bool
	// described are types in the signatures and fields of other exported identifiers.
	described map[identifier]bool
}

// TestExported checks that an exported identifier has a user in another package. A type may also be a part of another
// exported identifier, and a constant may belong to a group with a constant that is used. Methods are not checked,
// because interfaces use them.
func TestExported(t *testing.T) {
	t.Parallel()
	e := exports{map[identifier]token.Position{}, nil, map[identifier]bool{}, map[identifier]bool{}}
	files := token.NewFileSet()
	for _, name := range listed(t, "*.go") {
		file, err := parser.ParseFile(files, name, read(t, name), parser.SkipObjectResolution)
		require.NoError(t, err)
		folder := path.Dir(name)
		e.collectUses(folder, file)
		if isNarrow(folder) && !strings.HasSuffix(name, "_test.go") {
			for _, declaration := range file.Decls {
				e.collectDeclaration(files, folder, declaration)
			}
		}
	}
	for _, group := range e.groups {
		for _, id := range group {
			if e.used[id] {
				for _, other := range group {
					e.used[other] = true
				}
			}
		}
	}
	for id, position := range e.declared {
		assert.True(t, e.used[id] || e.described[id], "%s: no other package uses %s.%s: unexport it, or move it to export_test.go",
			position, path.Base(id.folder), id.name)
	}
}

// isNarrow reports whether a folder is one of those that are checked.
func isNarrow(folder string) bool {
	for _, prefix := range narrow {
		if (folder + "/")[:min(len(folder)+1, len(prefix)+1)] == prefix+"/" {
			return true
		}
	}
	return false
}

// collectUses records the identifiers of other packages of the repository in a file.
func (e *exports) collectUses(folder string, file *ast.File) {
	imported := map[string]string{}
	for _, spec := range file.Imports {
		target, ok := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module)
		if !ok || target == folder {
			continue
		}
		name := path.Base(target)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imported[name] = target
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := selector.X.(*ast.Ident); ok && imported[x.Name] != "" {
				e.used[identifier{imported[x.Name], selector.Sel.Name}] = true
			}
		}
		return true
	})
}

// collectDeclaration records the exported identifiers of a declaration, and the types that it describes.
func (e *exports) collectDeclaration(files *token.FileSet, folder string, declaration ast.Decl) {
	declare := func(name *ast.Ident) {
		if name.IsExported() {
			e.declared[identifier{folder, name.Name}] = files.Position(name.Pos())
		}
	}
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			declare(d.Name)
		}
		if d.Name.IsExported() {
			e.describe(folder, "", d.Type)
		}
	case *ast.GenDecl:
		var group []identifier
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				declare(s.Name)
				e.describe(folder, s.Name.Name, s.Type)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					declare(name)
					group = append(group, identifier{folder, name.Name})
				}
				if s.Type != nil {
					e.describe(folder, "", s.Type)
				}
			}
		}
		if d.Tok == token.CONST {
			e.groups = append(e.groups, group)
		}
	}
}

// describe records the types of the package in an expression, except for one.
func (e *exports) describe(folder, except string, node ast.Node) {
	ast.Inspect(node, func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok && name.IsExported() && name.Name != except {
			e.described[identifier{folder, name.Name}] = true
		}
		return true
	})
}

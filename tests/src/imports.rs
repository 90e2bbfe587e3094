//! The modules of a crate import each other in one direction: a reader can begin with a module that needs no other.
//!
//! An import counts as one of the module that defines the name: a parent that passes on the names of its children is no circle.

use crate::files;
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Path, UseTree, Visibility};

/// A module by its path from the crate's root; the root itself is empty.
type Module = Vec<String>;

/// The names of one module that come from elsewhere, and what it takes from other modules.
#[derive(Default)]
struct Imports {
    /// Names that it passes on, and where they come from.
    passed_on: BTreeMap<String, Module>,
    /// Paths as they are written, from the module in which they stand.
    taken: Vec<Vec<String>>,
}

/// The modules of one crate.
struct Crate {
    modules: BTreeMap<Module, Imports>,
}

impl Crate {
    /// Reads all modules in the folder `src`, but for tests and what only they need.
    fn read(src: &str) -> Self {
        let mut modules = BTreeMap::new();
        let mut folders = vec![(src.to_owned(), Module::new())];
        while let Some((folder, module)) = folders.pop() {
            for name in files::names_in(&folder) {
                let path = format!("{folder}/{name}");
                let child = |name: &str| module.iter().cloned().chain([name.to_owned()]).collect();
                if files::root().join(&path).is_dir() {
                    folders.push((path, child(&name)));
                } else if let Some(stem) = name.strip_suffix(".rs").filter(|stem| !matches!(*stem, "main" | "tests")) {
                    let module = if matches!(stem, "lib" | "mod") { module.clone() } else { child(stem) };
                    modules.insert(module, imports(&files::read(&path)));
                }
            }
        }
        Self { modules }
    }

    /// The module that defines what `path` names, seen from `from`. `None` for a name of another crate.
    fn defining(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut path = path.iter();
        let mut module = from.clone();
        let mut next = path.next()?;
        let is_of_this_crate = match next.as_str() {
            "crate" => {
                module.clear();
                true
            }
            "super" => {
                module.pop();
                true
            }
            "self" => true,
            name => {
                module.push(name.to_owned());
                self.modules.contains_key(&module)
            }
        };
        if !is_of_this_crate {
            return None;
        }
        for segment in path {
            next = segment;
            if next == "super" {
                module.pop();
                continue;
            }
            let child: Module = module.iter().cloned().chain([next.clone()]).collect();
            if self.modules.contains_key(&child) {
                module = child;
                continue;
            }
            // A name in `module`: its own, or one that it passes on.
            // Two modules that pass on each other's names would be followed for ever, so the depth is limited.
            let passed_on = self.modules.get(&module)?.passed_on.get(next).filter(|_| depth < 8);
            return match passed_on {
                Some(from) => self.defining(&module, from, depth + 1).or(Some(module)),
                None => Some(module),
            };
        }
        Some(module)
    }

    /// The modules from which each module imports names.
    fn graph(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let edges = self.modules.iter().map(|(module, imports)| {
            let taken = imports.taken.iter().filter_map(|path| self.defining(module, path, 0));
            (module, taken.filter(|other| other != module).collect())
        });
        edges.collect()
    }

    /// Modules that are reached again from themselves.
    fn circular(&self) -> Vec<String> {
        let graph = self.graph();
        let reached = |start: &Module| {
            let mut reached = BTreeSet::new();
            let mut waiting: Vec<&Module> = graph.get(start).into_iter().flatten().collect();
            while let Some(module) = waiting.pop() {
                if reached.insert(module) {
                    waiting.extend(graph.get(module).into_iter().flatten());
                }
            }
            reached
        };
        let circular = graph.keys().filter(|module| reached(module).contains(**module));
        circular.map(|module| if module.is_empty() { "the root".to_owned() } else { module.join("::") }).collect()
    }
}

/// The imports in a module's text.
fn imports(text: &str) -> Imports {
    let mut imports = Imports::default();
    let file = syn::parse_file(text).expect("it compiles");
    imports.visit_file(&file);
    imports
}

impl Imports {
    fn take_tree(&mut self, tree: &UseTree, path: &mut Vec<String>, passes_on: bool) {
        match tree {
            UseTree::Path(segment) => {
                path.push(segment.ident.to_string());
                self.take_tree(&segment.tree, path, passes_on);
                path.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.take_tree(tree, path, passes_on)),
            UseTree::Name(name) => self.take(path, &name.ident.to_string(), &name.ident.to_string(), passes_on),
            UseTree::Rename(name) => self.take(path, &name.ident.to_string(), &name.rename.to_string(), passes_on),
            UseTree::Glob(_) => self.taken.push(path.clone()),
        }
    }

    fn take(&mut self, path: &[String], name: &str, known_as: &str, passes_on: bool) {
        let mut path = path.to_vec();
        if name != "self" {
            path.push(name.to_owned());
        }
        if passes_on {
            self.passed_on.insert(known_as.to_owned(), path);
        } else {
            self.taken.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(ItemMod { attrs, .. }) | Item::Use(ItemUse { attrs, .. }) => attrs,
            Item::Fn(function) => &function.attrs,
            Item::Impl(block) => &block.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.take_tree(&item.tree, &mut Vec::new(), !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.taken.push(segments);
        }
        visit::visit_path(self, path);
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<Path>().is_ok_and(|condition| condition.is_ident("test"))
    };
    attributes.iter().any(is_test)
}

#[test]
fn no_modules_import_each_other() {
    let nested = ["crates", "functions"]
        .into_iter()
        .flat_map(|folder| files::names_in(folder).into_iter().map(move |name| format!("{folder}/{name}/src")));
    let sources = nested.chain(["cli", "local", "statemachine"].map(|name| format!("{name}/src")));
    let mut circles = Vec::new();
    let mut modules = 0;
    for src in sources {
        let read = Crate::read(&src);
        modules += read.modules.len();
        circles.extend(read.circular().into_iter().map(|module| format!("{src}: {module}")));
    }
    assert!(modules > 200, "only {modules} modules were found");
    assert_eq!(circles, [""; 0], "these reach themselves again by their imports");
}

#[test]
fn a_circle_is_found_through_a_parent_that_passes_names_on() {
    let text = |texts: [(&[&str], &str); 4]| Crate {
        modules: texts
            .into_iter()
            .map(|(module, text)| (module.iter().map(|&s| s.to_owned()).collect(), imports(text)))
            .collect(),
    };
    let circle = text([
        (&[], "mod a; pub use a::One; mod b; mod c;"),
        (&["a"], "use crate::c::Two; pub struct One;"),
        (&["b"], "use crate::One;"),
        (&["c"], "pub struct Two; fn f(_: crate::One) {}"),
    ]);
    assert_eq!(circle.circular(), ["a", "c"]);
    let none = text([
        (&[], "mod a; pub use a::One; mod b; mod c;"),
        (&["a"], "use crate::c::Two; pub struct One;"),
        (&["b"], "use crate::One; use std::fmt;"),
        (&["c"], "pub struct Two; #[cfg(test)] mod tests { use crate::One; }"),
    ]);
    assert_eq!(none.circular(), [""; 0]);
}

//! The files and paths that a statement is about.

use crate::script::{Binding, Content, Expectation, FileCall, FileCommand, Load, Statement};

/// Something that a statement refers to.
pub(super) enum Reference<'a> {
    /// A replicated file: its name, its uuid or the beginning of it.
    File(&'a mut String),
    /// A path of the host.
    Path(&'a mut String),
}

/// Visits every reference of a statement.
pub(super) fn each_reference(statement: &mut Statement, visit: &mut dyn FnMut(Reference<'_>)) {
    match statement {
        Statement::File { call, .. }
        | Statement::Expect(Expectation::Refused { call, .. } | Expectation::Unknown(call)) => {
            of_call(call, visit);
        }
        Statement::Let { binding: Binding::Load(Load { path, .. }), .. } => {
            visit(Reference::Path(path));
        }
        Statement::Expect(Expectation::Content { file, content }) => {
            visit(Reference::File(file));
            of_content(content, visit);
        }
        Statement::Expect(Expectation::NoFile(file)) => visit(Reference::File(file)),
        _ => {}
    }
}

fn of_call(call: &mut FileCall, visit: &mut dyn FnMut(Reference<'_>)) {
    of_command(&mut call.command, visit);
}

fn of_command(command: &mut FileCommand, visit: &mut dyn FnMut(Reference<'_>)) {
    match command {
        FileCommand::Load(Load { path, .. }) => visit(Reference::Path(path)),
        FileCommand::List(_) => {}
        FileCommand::Get { file, path, .. } => {
            visit(Reference::File(file));
            visit(Reference::Path(path));
        }
        FileCommand::Append { file, content, .. } => {
            visit(Reference::File(file));
            of_content(content, visit);
        }
        FileCommand::Cat { file, .. }
        | FileCommand::Delete { file, .. }
        | FileCommand::Rename { file, .. }
        | FileCommand::Stat { file, .. } => visit(Reference::File(file)),
        FileCommand::Batch(parts) => parts.iter_mut().for_each(|part| of_command(part, visit)),
    }
}

fn of_content(content: &mut Content, visit: &mut dyn FnMut(Reference<'_>)) {
    if let Content::Path(path) = content {
        visit(Reference::Path(path));
    }
}

/** Types of extensions for servers that do not have these. */

/** SQL that makes a type whose text and binary form are those of another one. */
export const typeLike = (name: string, other: 'text' | 'bytea'): string => `
  create type ${name};
  create function ${name}_in(cstring) returns ${name} language internal immutable strict as '${other}in';
  create function ${name}_out(${name}) returns cstring language internal immutable strict as '${other}out';
  create function ${name}_recv(internal) returns ${name} language internal immutable strict as '${other}recv';
  create function ${name}_send(${name}) returns bytea language internal immutable strict as '${other}send';
  create type ${name}
    (input = ${name}_in, output = ${name}_out, receive = ${name}_recv, send = ${name}_send, like = ${other});`

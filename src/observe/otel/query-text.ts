// The text of a statement as an attribute. One with parameters goes as it is, for its values are elsewhere; one without
// may have been glued together by somebody, so its literals and comments are taken out, as the conventions ask.

const longest = 10_000
const mostRemembered = 500

/** Comments; dollar quotes; strings, with and without escapes; quoted names, which stay; numbers. What is not closed ends with the text. */
const pieces =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|(?<![\w$])\$([A-Za-z_]\w*)?\$[\s\S]*?(?:\$\1\$|$)|(?<!\w)[eE]'[^'\\]*(?:(?:\\[\s\S]|'')[^'\\]*)*(?:'|$)|'[^']*(?:''[^']*)*(?:'|$)|"[^"]*(?:""[^"]*)*(?:"|$)|(?<![\w$.])(?:0[xXoObB][\da-fA-F_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)/g

const remembered = new Map<string, string>()

export function queryText(sql: string, parameters: number): string {
  if (parameters > 0) return cut(sql)
  const known = remembered.get(sql)
  if (known !== undefined) return known
  const text = withoutLiterals(cut(sql))
  if (sql.length <= longest) {
    if (remembered.size >= mostRemembered) remembered.clear()
    remembered.set(sql, text)
  }
  return text
}

/** `select ? from t where a = ?` */
export function withoutLiterals(sql: string): string {
  return sql.replaceAll(pieces, (piece) => {
    if (piece.startsWith('--') || piece.startsWith('/*')) return ' '
    return piece.startsWith('"') ? piece : '?'
  })
}

function cut(sql: string): string {
  return sql.length > longest ? `${sql.slice(0, longest)} …` : sql
}
